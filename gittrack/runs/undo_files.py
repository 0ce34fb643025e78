"""Taking back what a checkout did to files: those that it replaced come back, those that it made go away.

A file that somebody has changed since is theirs, so then nothing is done at all. An undo replaces files, too, in the
same way, and can be undone.
"""

import contextlib
import filecmp
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git.discover import Paths
from gittrack.runs import operations, placing
from gittrack.runs.annotations import Author
from gittrack.runs.checkout_plan import few
from gittrack.runs.operations import Operation
from gittrack.runs.placing import Change


def has_begun(paths: Paths, operation: Operation) -> bool:
    """Whether an operation that has not ended has changed files: the manifest tells."""
    found = placing.manifest(paths, operation.id) if operation.outcome == operations.INTERRUPTED else None
    return found is not None and bool(found[1])


def undo(paths: Paths, operation: Operation, author: Author, every: Sequence[Operation] = ()) -> str | None:
    """Take back `operation`. Returns the id of the one that did it; None when it did not change files.

    What undos among `every` have put back before they were killed is left as it is. Raises WouldOverwrite when files
    have changed since.
    """
    done = _done(paths, operation, every)
    if done is None:
        return None
    back = _back(operation, done, _of_undos(paths, operation, every))
    with placing.replacing(paths, done.root, author.command, author.who, operation.id) as target:
        for number, change in enumerate(back):
            if change.saved is None:
                target.remove(change.path)
            else:
                source = os.path.join(target.staging, str(number))
                shutil.copy2(change.saved, source, follow_symlinks=False)
                target.put(source, change.path, replace=True)
        name = target.operation
    for way in reversed(done.made):
        with contextlib.suppress(OSError):  # somebody else's files are in it
            os.rmdir(os.path.join(done.root, way))
    return name


class _Done(NamedTuple):
    """What was done to files below `root`, in order; `saved` of a change is a path here. `made`: folders."""

    root: str
    changes: list[Change]
    made: list[str]


def _done(paths: Paths, operation: Operation, every: Sequence[Operation]) -> _Done | None:
    """What an operation did. Of an undo, with what those before it did that it has finished."""
    parts = [operation.id]
    place = next((at for at, one in enumerate(every) if one.id == operation.id), 0)
    for one in reversed(every[:place]):
        if operation.undoes and one.undoes == operation.undoes:
            if one.outcome == operations.DONE:
                break
            parts.insert(0, one.id)
    found = [(part, of_it) for part in parts if (of_it := placing.manifest(paths, part)) is not None]
    if not found:
        return None
    changes = [
        change._replace(saved=os.path.join(placing.kept_folder(paths, part), change.saved)) if change.saved else change
        for part, (_, of_it, _) in found
        for change in of_it
    ]
    return _Done(found[-1][1][0], changes, [way for _, (_, _, made) in found for way in made])


def _back(operation: Operation, done: _Done, later: Sequence[Change]) -> list[Change]:
    """For each path what was there first. What was written down and then not done (a kill) is left out, and so is what
    an undo before this one (`later`) has put back already."""
    root, changes = done.root, done.changes
    first: dict[str, Change] = {}
    now = {one.path: placing.stamp_at(os.path.join(root, one.path)) for one in changes}
    for one in changes:
        first.setdefault(one.path, one)
    back = [one for one in first.values() if one.was != now[one.path]]
    ours = {one.path for one in changes if one.now == now[one.path]}
    by_undo = {one.path for one in later if one.path in now and one.now == now[one.path]} - ours
    back = [one for one in back if one.path not in by_undo or not _is_back(one, root)]
    _refuse(operation, [one.path for one in back if one.path not in ours | by_undo], root)
    return back[::-1]


def _of_undos(paths: Paths, operation: Operation, every: Sequence[Operation]) -> list[Change]:
    """What undos of `operation`, undos of these, and so on, have done to files."""
    chain = {operation.id}
    found: list[Change] = []
    for one in every:
        if one.undoes in chain:
            chain.add(one.id)
            of_it = placing.manifest(paths, one.id)
            found += of_it[1] if of_it else []
    return found


def _is_back(change: Change, root: str) -> bool:
    """Whether what was saved is there again."""
    path, saved = os.path.join(root, change.path), change.saved
    if saved is None:
        return not os.path.lexists(path)
    if os.path.islink(saved) or os.path.islink(path):
        return os.path.islink(saved) and os.path.islink(path) and os.readlink(saved) == os.readlink(path)
    same = os.path.isfile(path) and os.stat(path).st_mode == os.stat(saved).st_mode
    return same and filecmp.cmp(saved, path, shallow=False)


def _refuse(operation: Operation, changed: Sequence[str], root: str) -> None:
    if changed:
        raise errors.WouldOverwrite(
            f"cannot undo `{operations.describe(operation)}`: changed since, in {root}:\n{few(changed)}",
            "move them away and undo again, to have both",
        )
