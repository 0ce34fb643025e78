"""What was purged taken out of a remote: by whoever purges, and by every push and pull that finds it there again.

A clone that has not heard of a purge may bring the run back with a plain `git push`; it does not stay. Refs of it are
deleted and archives that have it written anew, in one atomic push with the values that were seen, so that nothing which
somebody else has pushed meanwhile is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.core.annotations import Tombstones
from gittrack.git import network, objects, remote_errors
from gittrack.git.network import Outcome
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archive_purging, archives, burial, remotes


class Cleaned(NamedTuple):
    """`moved`: refs there, as they are now; `failed`: ref -> why it still is as it was."""

    moved: tuple[RefChange, ...] = ()
    failed: Mapping[str, Outcome] = {}


def is_due(refs: Mapping[str, str], graves: Tombstones, lists: Mapping[str, str] | None = None) -> bool:
    """Whether a remote with these refs has something purged, as far as its refs and these runs of its lists tell."""
    return any(graves.forbid(ref, oid) for ref, oid in refs.items()) or not graves.runs.isdisjoint(lists or ())


def plan(
    repo: Repository, name: str, refs: Mapping[str, str], graves: Tombstones, progress: network.Progress | None = None
) -> tuple[list[RefChange], dict[str, Outcome]]:
    """How the refs of the remote have to move, and which are of archives that cannot be read, with why; objects that
    are needed for it are here then, written or fetched. Raises RemoteFailed."""
    if not graves.runs and not graves.oids:
        return [], {}
    gone = [RefChange(ref, oid, None) for ref, oid in refs.items() if graves.forbid(ref, oid)]
    moved: list[RefChange] = []
    unread: dict[str, Outcome] = {}
    for prefix, tips in _archives(refs).items():
        try:
            moved += _rewritten(repo, name, prefix, tips, graves, progress)
        except (errors.DamagedRecord, errors.NewerFormat, KeyError, ValueError) as error:  # it keeps no other one
            why = getattr(error, "message", str(error))
            unread |= {prefix + part: Outcome(remote_errors.DAMAGED, f"it cannot be read: {why}") for part in tips}
    return [*sorted(moved, key=lambda one: _PARTS.index(one.ref.rpartition("/")[2])), *gone], unread


def _rewritten(
    repo: Repository,
    name: str,
    prefix: str,
    tips: Mapping[str, str],
    graves: Tombstones,
    progress: network.Progress | None,
) -> list[RefChange]:
    """How the refs of one archive have to move; the objects for that are written."""
    _bring(repo, name, {part: tips[part] for part in (archives.LIST,) if part in tips}, progress)
    if archives.LIST in tips and not archive_purging.holds(repo, tips[archives.LIST], graves):
        return []  # its other parts were written anew with it
    _bring(repo, name, tips, progress)
    found = archive_purging.rewritten(repo, tips, graves)
    repo.write(objects.unique(made for one in found.values() for made in one.made), durable=True)
    return [RefChange(prefix + part, tips[part], one.tip) for part, one in found.items()]


def clean(
    repo: Repository,
    name: str,
    refs: Mapping[str, str],
    graves: Tombstones,
    more: Sequence[RefChange] = (),
    progress: network.Progress | None = None,
) -> Cleaned:
    """Move the refs of a remote that has `refs`, together with `more`; all or nothing where the server can do that.

    Raises RemoteFailed where it fails as a whole.
    """
    changes, unread = plan(repo, name, refs, graves, progress)
    todo = [*more, *changes]
    if not todo:
        return Cleaned(failed=unread)
    try:
        outcomes = network.push(repo.git, name, todo, True, progress)
    except errors.RemoteFailed as error:
        if error.kind != remote_errors.NOT_ATOMIC:
            raise
        outcomes = network.push(repo.git, name, todo, False, progress)
    if any(one.kind for one in outcomes.values()) and all(one.kind for one in outcomes.values()):
        one_by_one = {one.ref: network.push(repo.git, name, [one], False)[one.ref] for one in todo}
        outcomes = one_by_one  # of an atomic push one ref that may not move keeps all others
    done = tuple(one for one in todo if outcomes[one.ref].done)
    remotes.note_refs(repo.paths, network.url(repo.git, name), {one.ref: one.new for one in done})
    return Cleaned(done, {**unread, **{ref: one for ref, one in outcomes.items() if not one.done}})


def grown(
    repo: Repository,
    name: str,
    here: Mapping[str, str],
    there: Mapping[str, str],
    refs: Iterable[str],
    graves: Tombstones,
) -> set[str]:
    """Those of these refs of archives that do not go on from what the remote has, and lack nothing of it but what was
    purged: each side has written the archive anew, and this one has added to it. Raises RemoteFailed."""
    meant = [ref for ref in refs if layout.archive_of_ref(ref) and ref in there and there[ref] != here[ref]]
    if not meant or not graves.runs:
        return set()
    fetched = _bring(repo, name, {ref: there[ref] for ref in meant}, None)
    found = {ref for ref in meant if archive_purging.is_shortened(repo, there[ref], here[ref], graves)}
    if fetched:  # what is there may have what was purged
        burial.sweep(repo, graves)
    return found


_PARTS = (archives.RECORDS, archives.CODE, archives.LIST)


def _archives(refs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for ref, oid in refs.items():
        if parts := layout.archive_of_ref(ref):
            found.setdefault(ref.rpartition("/")[0] + "/", {})[parts[2]] = oid
    return found


def _bring(repo: Repository, name: str, tips: Mapping[str, str], progress: network.Progress | None) -> bool:
    """Whether something had to be fetched."""
    lacking = [oid for oid in tips.values() if not repo.exists(oid)]
    if lacking:
        network.fetch(repo.git, name, lacking, progress)
    return bool(lacking)
