"""The store that a clone has for itself: large files of its runs are kept there first, and looked for there first."""

from gittrack.git.discover import Paths
from gittrack.runs import live
from gittrack.store.content import Content
from gittrack.store.local import open_local


def own_store(paths: Paths) -> Content:
    """`track/objects`; it is made when something is put."""
    return open_local(live.track_dir(paths))
