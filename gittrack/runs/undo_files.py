"""Taking back what a checkout did to files: those that it replaced come back, those that it made go away.

A file that somebody has changed since is theirs, so then nothing is done at all. An undo replaces files, too, in the
same way, and can be undone.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence

from gittrack import errors
from gittrack.git.discover import Paths
from gittrack.runs import operations, placing
from gittrack.runs.annotations import Author
from gittrack.runs.operations import Operation
from gittrack.runs.placing import Change

LISTED = 8


def undo(paths: Paths, operation: Operation, author: Author) -> str | None:
    """Take back `operation`. Returns the id of the one that did it; None when it did not change files.

    Raises WouldOverwrite when files have changed since.
    """
    found = placing.manifest(paths, operation.id)
    if found is None:
        return None
    root, changes, made = found
    back = _back(operation, changes, root)
    folder = placing.kept_folder(paths, operation.id)
    with placing.replacing(paths, root, author.command, author.who, operation.id) as target:
        for number, change in enumerate(back):
            if change.saved is None:
                target.remove(change.path)
            else:
                source = os.path.join(target.staging, str(number))
                shutil.copy2(os.path.join(folder, change.saved), source, follow_symlinks=False)
                target.put(source, change.path, replace=True)
        name = target.operation
    for way in reversed(made):
        with contextlib.suppress(OSError):  # somebody else's files are in it
            os.rmdir(os.path.join(root, way))
    return name


def _back(operation: Operation, changes: Sequence[Change], root: str) -> list[Change]:
    """For each path what was there first. What was written down and then not done (a kill) is left out."""
    first: dict[str, Change] = {}
    now = {one.path: placing.stamp_at(os.path.join(root, one.path)) for one in changes}
    for one in changes:
        first.setdefault(one.path, one)
    back = [one for one in first.values() if one.was != now[one.path]]
    ours = {one.path for one in changes if one.now == now[one.path]}
    _refuse(operation, [one.path for one in back if one.path not in ours], root)
    return back[::-1]


def _refuse(operation: Operation, changed: Sequence[str], root: str) -> None:
    if changed:
        shown = "\n".join(f"  {path}" for path in changed[:LISTED])
        more = f"\n  and {len(changed) - LISTED} more" if len(changed) > LISTED else ""
        raise errors.WouldOverwrite(
            f"cannot undo `{operations.describe(operation)}`: changed since, in {root}:\n{shown}{more}",
            "move them away and undo again, to have both",
        )
