"""Which run a tree was the code of."""

from gittrack.git import open as opening
from gittrack.git.command import Git
from gittrack.hook.place import Place
from gittrack.lazy import lazy
from gittrack.runs import snapshot_trees


def of_tree(place: Place, tree: str) -> str | None:
    """The newest run that was started with this tree; of those that ended well, if there are any. Raises GitFailed."""
    git = Git(place.paths, place.environ)
    snapshots = snapshot_trees.of_tree(git, tree)
    if not snapshots:
        return None
    index = lazy("gittrack.runs.index").open_index(place.paths)
    try:
        index.refresh(lambda: opening.open_repository(place.paths, place.environ))
        rows = index.of_snapshots(snapshots)
    finally:
        index.close()
    done = [row for row in rows if row.status == "completed"]
    return next((row.id for row in (*done, *rows)), None)
