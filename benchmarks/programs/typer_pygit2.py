"""The floor of a command line: a typer application of one empty command that imports pygit2."""

import pygit2  # noqa: F401
import typer

app = typer.Typer()


@app.command()
def main() -> None:
    pass


app()
