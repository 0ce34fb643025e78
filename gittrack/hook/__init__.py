"""What git hooks call: entry points without typer, since a commit that has nothing to do with us must not wait."""
