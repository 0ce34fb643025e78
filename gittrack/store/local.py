"""The repository's own content store."""

import os

from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore

FOLDER = "objects"


def open_local(track_dir: str) -> Content:
    """The content store in gittrack's own directory (`.git/track`); it is made when something is put."""
    store = DirectoryStore(os.path.join(track_dir, FOLDER))
    return Content(store, store.freshen)
