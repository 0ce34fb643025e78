"""Runs between clones: pushed, pulled, purged, exported. What is one clone's alone is in `runs`."""
