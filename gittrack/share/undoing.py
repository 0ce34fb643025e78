"""Taking back a push: refs at the remote go back to what they were before it, where nobody has moved them since.

What others have fetched meanwhile stays with them; a secret is taken back by `git track purge`.
"""

from collections.abc import Sequence

from gittrack import errors
from gittrack.git import network, remote_errors
from gittrack.git.lfs import shown
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import operations, remotes, unarchiving
from gittrack.runs.annotations import Author
from gittrack.runs.operations import Operation, Remote


def undo(
    repo: Repository, chosen: Sequence[Operation], author: Author, progress: network.Progress | None = None
) -> str:
    """Take operations at a remote back, all or nothing where the server can do that; gives the id of the new one.

    Raises RefConflict when what they changed has changed again since, RunNotFound when nothing of it is there,
    MissingContent when what was there before is not here, RemoteFailed.
    """
    remote = next(one.remote for one in chosen if one.remote)
    name = remote.name if network.url(repo.git, remote.name) == remote.url else remote.url
    back = plan(_net(chosen), network.ls_remote(repo.git, name), remote, chosen[0])
    unarchiving.have(repo, [RefChange(one.ref, None, one.new) for one in back if one.new and not repo.exists(one.new)])
    taken = Remote(remote.name, remote.url, tuple(back))
    op_id = operations.begin(repo.paths, author.command, author.now, who=author.who, undoes=chosen[0].id, remote=taken)
    outcomes = _push(repo, name, back, progress)
    done = {change.ref: change.new for change in back if outcomes[change.ref].done}
    operations.end(repo.paths, op_id, operations.DONE if done else operations.FAILED)
    remotes.note_refs(repo.paths, network.url(repo.git, name), done)
    failed = [one for one in outcomes.values() if not one.done]
    if failed:
        first = next((one for one in failed if one.kind != remote_errors.TOGETHER), failed[0])
        there = f"{len(done)} of {len(back)} refs are as they were before"
        raise remote_errors.of_kind(remote.name, first.kind, f"{first.said} ({there})")
    return op_id


def plan(changes: Sequence[RefChange], there: dict[str, str], remote: Remote, operation: Operation) -> list[RefChange]:
    """The way back from `changes`, of which some may never have been made."""
    back = [RefChange(each.ref, each.new, each.old) for each in changes if there.get(each.ref) == each.new]
    moved = [each.ref for each in changes if there.get(each.ref) not in (each.new, each.old)]
    what = operations.describe(operation)
    if moved:
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        raise errors.RefConflict(
            f"cannot undo `{what}`: at {shown(remote.name)}, {moved[0]}{more} moved since",
            "undo what came later first; for everybody, `git track purge RUN` takes runs away there",
        )
    if not back:
        raise errors.RunNotFound(
            f"nothing of `{what}` is at {shown(remote.name)} any more", "`git track undo --list` shows other changes"
        )
    return back


def _net(chosen: Sequence[Operation]) -> list[RefChange]:
    """What they were to change altogether. An attempt that failed was decided again: what it wanted says nothing."""
    found: dict[str, RefChange] = {}
    for one in chosen:
        for change in one.remote.changes if one.remote and one.outcome != operations.FAILED else ():
            old = found[change.ref].old if change.ref in found else change.old
            found[change.ref] = RefChange(change.ref, old, change.new)
    return [change for change in found.values() if change.old != change.new]


def _push(
    repo: Repository, name: str, back: Sequence[RefChange], progress: network.Progress | None
) -> dict[str, network.Outcome]:
    try:
        return network.push(repo.git, name, back, True, progress)
    except errors.RemoteFailed as error:
        if error.kind != remote_errors.NOT_ATOMIC:
            raise
    return network.push(repo.git, name, back, False, progress)
