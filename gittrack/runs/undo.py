"""Taking back an operation: refs and files go back to what they were, annotations are taken back by one more.

An undo is an operation itself, so an undo can be undone. A log of annotations is never shortened: others may have read
it, and what was said since then must stay.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import annotations, layout
from gittrack.core.annotations import Op
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations as saying
from gittrack.runs import applying, live, logs, operations, origins, parting, segments, unarchiving, undo_files
from gittrack.runs.annotations import Author, Saying
from gittrack.runs.operations import DONE, Operation


class Undone(NamedTuple):
    """What was taken back, and the id of the operation that did it."""

    operations: list[Operation]
    by: str

    @property
    def what(self) -> str:
        return operations.describe(self.operations[0])


AtRemote = Callable[[Sequence[Operation]], str]  # takes back what was done at a remote; gives the id of that operation


def undo(repo: Repository, author: Author, op: str | None = None, at_remote: AtRemote | None = None) -> Undone:
    """Take back the last operation that was asked for, or the one whose id begins with `op`; all of a run together.

    Raises RunNotFound when there is none, RefConflict when what it changed has changed again since, WouldOverwrite
    when that is a file.
    """
    every = [one for one in operations.log(repo) if _may_have_happened(repo, one)]
    chosen = _chosen([one for one in every if op or _is_there(repo, one)], op)
    _refuse_commit(chosen)
    if op is None:
        _refuse_pushed(every, chosen)
        chosen = _to_go_on_with(every, chosen)
    _refuse_live(repo, chosen)
    _refuse_undone(every, chosen)
    if at_remote is not None and any(one.remote for one in chosen):
        return Undone(chosen, at_remote(chosen))
    if (by := undo_files.undo(repo.paths, chosen[0], author, every)) is not None:
        applying.unmark(repo, chosen[0].id)
        origins.forget(repo.paths, chosen[0].id)
        return Undone(chosen, by)
    by = saying.attempt(repo, lambda: _changes(repo, every, chosen, author), author, chosen[0].id)
    return Undone(chosen, by)


def _may_have_happened(repo: Repository, one: Operation) -> bool:
    """A push that was killed may have moved refs at the remote all the same."""
    cut = one.remote is not None and one.outcome == operations.INTERRUPTED
    return one.outcome == DONE or cut or undo_files.has_begun(repo.paths, one)


def _chosen(every: Sequence[Operation], op: str | None) -> list[Operation]:
    """The operation that is meant, with those of its group. A group stands where it began."""
    groups: dict[str, list[Operation]] = {}
    for one in every:
        groups.setdefault(one.group or one.id, []).append(one)
    if op is None:  # what nobody did is not what somebody wants to take back
        found = [group for group in groups.values() if not group[0].command.endswith(operations.BY_ITSELF)]
    else:
        found = [group for group in groups.values() if any(one.id.startswith(op) for one in group)]
    if not found:
        what = f"there is no operation {op!r}" if op else "there is nothing to undo"
        raise errors.RunNotFound(what, "`git track undo --list` shows what can be undone")
    if op is not None and len(found) > 1:
        shown = "\n".join(f"  {group[0].id}  {operations.describe(group[0])}" for group in found)
        raise errors.AmbiguousSelector(f"{op!r} begins several operations:\n{shown}", "give more of its id")
    return found[-1]


def _to_go_on_with(every: Sequence[Operation], chosen: list[Operation]) -> list[Operation]:
    """An undo of files that was killed, or found the disk full, is not taken back: it is finished."""
    while chosen[0].outcome != DONE and chosen[0].undoes:
        undone = [one for one in every if one.id == chosen[0].undoes]
        if not undone:
            break
        chosen = undone
    return chosen


def _is_there(repo: Repository, one: Operation) -> bool:
    """Whether a commit that was made for the user is still in what HEAD has; others always."""
    return one.commit is None or repo.git.call("merge-base", "--is-ancestor", one.commit, "HEAD").code == 0


def _refuse_commit(chosen: Sequence[Operation]) -> None:
    """A branch is the user's, and what he has done since is on it: git takes commits back."""
    if chosen[0].commit:
        short = chosen[0].commit[: layout.SHORT]
        raise errors.UsageError(
            f"`{operations.describe(chosen[0])}` made commit {short} on your branch, which git takes back",
            f"git revert {short}, or while it is the last one: git reset --keep HEAD~1; "
            "`git track undo --list` shows what came before",
        )


def _refuse_pushed(every: Sequence[Operation], chosen: Sequence[Operation]) -> None:
    """A run that went to a remote by itself: which of the two is to be taken back is for the user to say."""
    refs = {change.ref for one in chosen for change in one.changes if change.ref.startswith(layout.RUNS)}
    undone = _undone(every)
    for one in every[every.index(chosen[-1]) + 1 :] if chosen[0].group else ():
        if one.remote is None or one.id in undone or not one.command.endswith(operations.BY_ITSELF):
            continue
        if any(change.ref in refs and change.new for change in one.remote.changes):
            raise errors.UsageError(
                f"`{operations.describe(chosen[0])}` was the last change, and the run was pushed to {one.remote.name} "
                "by itself since",
                f"git track undo {one.id} takes the push back, git track undo {chosen[0].id} the run here",
            )


def _undone(every: Sequence[Operation]) -> dict[str, Operation]:
    """Operations that are taken back now, and by which one."""
    undone: dict[str, Operation] = {}
    for one in every:
        if one.undoes and one.outcome == DONE:
            undone[one.undoes] = one
            undone.pop(next((key for key, by in undone.items() if by.id == one.undoes), ""), None)
    return undone


def _refuse_undone(every: Sequence[Operation], chosen: Sequence[Operation]) -> None:
    by = _undone(every).get(chosen[0].id)
    if by is not None:
        raise errors.UsageError(
            f"`{operations.describe(chosen[0])}` was undone already", f"to have it back: git track undo {by.id}"
        )


def _changes(
    repo: Repository, every: Sequence[Operation], chosen: Sequence[Operation], author: Author
) -> list[RefChange]:
    """Where the refs have to go."""
    current = repo.refs("refs/")
    back: list[RefChange] = []
    said: list[Op] = []
    before: set[str] = set()  # said earlier, and only moved from a log to another
    net = operations.net(chosen).values()
    for change in net:
        if change.ref.startswith(layout.LOG):
            if parting.is_ours(repo, change.ref):  # what others said is theirs to take back
                said += _added(repo, change)
            before |= {one.id for one in _added(repo, RefChange(change.ref, None, change.old))}
        elif change.ref.startswith(layout.CODE) and change.old is None:
            continue  # other runs of the same code may rely on it
        elif change.ref.startswith(layout.ARCHIVE):
            continue  # what an archive has, it keeps
        elif current.get(change.ref) == change.old and change.new is None:
            continue  # it is back already: another run of that code, or `git track unarchive`
        elif current.get(change.ref) == change.new:
            back.append(RefChange(change.ref, change.new, change.old))
        else:
            raise _moved(change.ref, every, chosen)
    kept = {operations.keep_ref(one.old): one.old for one in back if one.old and one.new}
    back += [RefChange(ref, None, oid) for ref, oid in kept.items() if ref not in current]
    said = [one for one in said if one.id not in before]
    if any(one.op == "purged" for one in said):
        raise errors.UsageError("what was purged is gone: that cannot be undone", "git track undo --list")
    archived = unarchiving.have(repo, back)
    if any(change.ref.startswith(layout.ARCHIVE) and not parting.has_archived(repo, change.ref) for change in net):
        archived = []  # by somebody else, as a pull has found: it is not for us to say
    sayings = _taken_back(said) + unarchiving.to_be_left(repo, archived)
    if sayings:
        back.append(saying.append(repo, sayings, author)[0])
    if not back:
        raise errors.RunNotFound("that operation changed nothing that can be taken back", "`git track undo --list`")
    return back


def _taken_back(said: Sequence[Op]) -> list[Saying]:
    runs: dict[str, list[str]] = {}
    for op in said:
        runs.setdefault(op.run, []).append(op.id)
    return [Saying(run, "undo", ids) for run, ids in runs.items()]


def _refuse_live(repo: Repository, chosen: Sequence[Operation]) -> None:
    for operation in chosen:
        if operation.group and os.path.isdir(live.folder(repo.paths, operation.group)):
            raise errors.UsageError(
                f"run {operation.group[: layout.SHORT]} is still going: its recording cannot be undone yet",
                "stop it first, or name an earlier operation: git track undo --list",
            )


def _added(repo: Repository, change: RefChange) -> list[Op]:
    """The annotations that a log has got between two commits."""
    if change.new is None:
        return []
    before = b"".join(segments.read(repo, change.old, logs.ROOT)) if change.old else b""
    after = b"".join(segments.read(repo, change.new, logs.ROOT))
    return annotations.parse(after[len(before) :], change.ref[len(layout.LOG) :])


def _moved(ref: str, every: Sequence[Operation], chosen: Sequence[Operation]) -> errors.RefConflict:
    """The refusal, naming the operation that would have to be undone first."""
    later = [one for one in every[every.index(chosen[-1]) + 1 :] if any(change.ref == ref for change in one.changes)]
    since = f" by `{operations.describe(later[-1])}`" if later else ", not by this clone's git track"
    hint = f"undo that first: git track undo {later[-1].id}" if later else f"`git log -3 {ref}` shows where it is now"
    return errors.RefConflict(f"cannot undo `{operations.describe(chosen[0])}`: {ref} was moved since{since}", hint)
