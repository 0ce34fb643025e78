"""Which run a tree was the code of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gittrack.git import open as opening
from gittrack.git.command import Git
from gittrack.hook.place import Place
from gittrack.lazy import lazy
from gittrack.runs import snapshot_trees

if TYPE_CHECKING:
    from gittrack.git.repository import Repository
    from gittrack.runs.index import Index
    from gittrack.runs.row import Row


def of_tree(place: Place, tree: str) -> str | None:
    """The newest run that was started with this tree; of those that ended well, if there are any. Raises GitFailed."""
    git = Git(place.paths, place.environ)
    snapshots = snapshot_trees.of_tree(git, tree)
    if not snapshots:
        return None
    index = lazy("gittrack.runs.index").open_index(place.paths)
    try:
        rows = _rows(place, index, snapshots)
    finally:
        index.close()
    done = [row for row in rows if row.status == "completed"]
    return next((row.id for row in (*done, *rows)), None)


def _rows(place: Place, index: "Index", snapshots: Sequence[str]) -> "list[Row]":
    """By the index where it is nearly up to date: who commits does not wait for it to be made."""
    opened: list[Repository] = []

    def opener() -> "Repository":
        if not opened:
            opened.append(opening.open_repository(place.paths, place.environ))
        return opened[0]

    if index.is_near(opener):
        index.refresh(opener)
        return index.of_snapshots(snapshots)
    found: list[Row] = lazy("gittrack.runs.by_snapshot").rows(opener(), snapshots)
    return found
