"""A run that is to be gone for good: what that takes with it, decided, and then done, here and at a remote.

Said first, in the log of annotations; then everywhere. It can be cut at any point: the bytes here go last, since only
with them it is known which files of stores the run had; and the same command goes on where it stopped.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.core.annotations import Tombstones
from gittrack.git import datarefs, desk, network, objects, snapshot
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations, archives, burial, embedded, gc, live, logs, reader, stores
from gittrack.runs.annotations import Author, Saying
from gittrack.runs.burial import Buried
from gittrack.share import cleaning, look
from gittrack.store.content import Content

if TYPE_CHECKING:
    from gittrack.config.settings import Settings

YOURS, SHARED, ELSEWHERE, NONE, GOES = "yours", "shared", "elsewhere", "none", "goes"


class Target(NamedTuple):
    """One run. `code`: its snapshot; `fate`: GOES, NONE, YOURS (a commit of the user), SHARED (runs `by` have it, too),
    ELSEWHERE (it goes, but a branch or tag `by` has it, too)."""

    id: str
    tip: str
    code: str | None
    fate: str
    by: tuple[str, ...] = ()

    @property
    def oids(self) -> list[str]:
        return [self.tip, *([self.code] if self.code and self.fate in (GOES, ELSEWHERE) else [])]


class Plan(NamedTuple):
    """`gone`: runs that were purged before, and that are finished with."""

    targets: tuple[Target, ...]
    gone: tuple[str, ...]
    refs: tuple[RefChange, ...]  # here
    files: Mapping[str, int]  # keys of this clone's store that go, with their sizes
    graves: Tombstones  # with these runs


class Outside(NamedTuple):
    """What was done at the remote and in stores. `store`: address -> keys that were deleted."""

    cleaned: cleaning.Cleaned
    store: Mapping[str, int]
    problems: tuple[errors.GittrackError, ...]
    lfs: int = 0  # files that git-lfs has at the remote, which has no way to delete them


def plan(repo: Repository, ids: Sequence[str], users: Mapping[str, Collection[str]], code: bool = False) -> Plan:
    """Decide. `users`: snapshot -> the runs that have it. `code`: take it from other runs as well.

    Raises RunNotFound; UsageError for a run that goes on; what `needs.of_clone` raises.
    """
    known = logs.tombstones(repo)
    gone = tuple(run_id for run_id in ids if archives.find(repo, run_id) is None and run_id in known.runs)
    targets = tuple(_target(repo, run_id, ids, users, code) for run_id in ids if run_id not in gone)
    graves = Tombstones(
        known.runs | {one.id for one in targets}, known.oids | {oid for one in targets for oid in one.oids}
    )
    refs, _ = burial.changes(repo, graves)
    digests = burial.files_of(repo, [one.id for one in targets])
    content = stores.local(repo)
    keys: set[str] = set()
    if digests:
        keys = gc.keys_of(content, digests) - gc.keys_of(content, burial.needed_elsewhere(repo, graves))
    return Plan(targets, gone, tuple(refs), {key: content.store.size(key) or 0 for key in sorted(keys)}, graves)


def _target(
    repo: Repository, run_id: str, ids: Collection[str], users: Mapping[str, Collection[str]], code: bool
) -> Target:
    folder = live.folder(repo.paths, run_id)
    if run_id in live.ids(repo.paths) and live.state(folder, live.here()) in live.GOING:
        raise errors.UsageError(f"run {run_id[: layout.SHORT]} is still going", "stop it first, or wait for its end")
    place = archives.find(repo, run_id)
    if place is None:
        raise errors.RunNotFound(f"there is no run {run_id}", "`git track ls --deleted` lists all of them")
    record = reader.read(repo, run_id)
    snap = record.facts.get("snapshot")
    snap = snap if isinstance(snap, str) and objects.is_oid(snap) else None
    if snap is None:
        return Target(run_id, place.tip, None, NONE)
    if not _is_ours(repo, snap):
        return Target(run_id, place.tip, snap, YOURS)
    others = tuple(sorted({*users.get(snap, ()), *_live_users(repo, snap)} - set(ids)))
    if others and not code:
        return Target(run_id, place.tip, snap, SHARED, others)
    names = _names_that_hold(repo, snap)
    return Target(run_id, place.tip, snap, ELSEWHERE if names else GOES, names)


def _is_ours(repo: Repository, oid: str) -> bool:
    """Whether gittrack made this snapshot. One that is not here is taken for such: its name says nothing to git."""
    try:
        return objects.parse_commit(repo.read(oid)[1]).author == snapshot.AUTHOR
    except (KeyError, ValueError):
        return True


def _live_users(repo: Repository, snap: str) -> Iterable[str]:
    for run_id in live.ids(repo.paths):
        head = live.head(live.folder(repo.paths, run_id))
        run = head[1].get("run") if head else None
        if isinstance(run, dict) and run.get("snapshot") == snap:
            yield run_id


def _names_that_hold(repo: Repository, snap: str) -> tuple[str, ...]:
    if not repo.exists(snap):
        return ()
    roots = ("refs/heads/", "refs/tags/", "refs/remotes/", "refs/stash")
    return tuple(repo.git.lines("for-each-ref", "--format=%(refname:short)", f"--contains={snap}", *roots))


def say(repo: Repository, found: Plan, author: Author) -> None:
    """Put the tombstones up. Nothing of what follows can be taken back."""
    known = logs.tombstones(repo)
    new = [one for one in found.targets if one.id not in known.runs or not known.oids.issuperset(one.oids)]
    annotations.say(repo, [Saying(one.id, "purged", one.oids) for one in new], author)


def prepare(repo: Repository, name: str, progress: network.Progress | None = None) -> look.Remote:
    """Ask the remote, and bring what is said there. Raises RemoteFailed."""
    return look.remote(repo, name, progress)


def outside(
    repo: Repository,
    found: Plan,
    remote: look.Remote | None,
    settings: "Settings",
    progress: network.Progress | None = None,
) -> Outside:
    """Clean the remote and the stores. All are tried; what failed is told. The bytes are still here then."""
    digests = burial.files_of(repo, burial.here(repo, found.graves))
    problems: list[errors.GittrackError] = []
    emptied: dict[str, int] = {}
    others = burial.needed_elsewhere(repo, found.graves) if digests else set()
    for content in stores.opened(repo, settings) if digests else ():
        _try(problems, functools.partial(_empty, content, digests, others, emptied))
    cleaned: list[cleaning.Cleaned] = []
    with_lfs = digests & embedded.with_lfs(repo, remote.name) if remote and digests else set()
    if remote is not None:
        if embedded.is_shared(settings.store) and found.files:
            _try(problems, lambda: _data(repo, remote.name, list(found.files), emptied))
        _try(problems, lambda: cleaned.append(_refs(repo, found, remote, progress)))
    return Outside(cleaned[0] if cleaned else cleaning.Cleaned(), emptied, tuple(problems), len(with_lfs))


def _try(problems: list[errors.GittrackError], work: Callable[[], object]) -> None:
    try:
        work()
    except (errors.StoreFailed, errors.RemoteFailed, errors.Unsupported, errors.CorruptContent) as error:
        problems.append(error)


def _empty(content: Content, digests: Collection[str], others: Collection[str], emptied: dict[str, int]) -> None:
    going = gc.keys_of(content, digests)
    going = going - gc.keys_of(content, others) if going else going
    content.store.delete(sorted(going, reverse=True))  # lists before the chunks that they name
    emptied[content.store.url] = len(going)


def _data(repo: Repository, name: str, keys: Sequence[str], emptied: dict[str, int]) -> None:
    with desk.desk(repo.git) as at:
        count = datarefs.remove(at, name, keys)
    if count:
        emptied[f"refs/track/data of {name}"] = len(keys)
    embedded.forget(repo, name)


def _refs(repo: Repository, found: Plan, remote: look.Remote, progress: network.Progress | None) -> cleaning.Cleaned:
    """The log that says it goes with the refs that hold it, in one push."""
    there = remote.there.refs
    here = repo.refs(layout.LOG)
    mine = {layout.log_ref(writer) for writer in look.me(repo)}
    forward = look.forward(repo, here, there, [ref for ref in mine if ref in here])
    moved = [RefChange(ref, there.get(ref), here[ref]) for ref in sorted(mine & here.keys())]
    said = [one for one in moved if one.old is None or one.ref in forward]
    graves = Tombstones(found.graves.runs | remote.graves.runs, found.graves.oids | remote.graves.oids)
    return cleaning.clean(repo, remote.name, there, graves, said, progress)


def here(repo: Repository, found: Plan, author: Author) -> Buried:
    """Remove it from this clone, objects included. Raises what `burial.bury` raises."""
    return burial.bury(repo, found.graves, author)


def purged(repo: Repository, text: str) -> list[str]:
    """The purged runs whose ids begin so: they can be named to have a purge finished, elsewhere for example."""
    return sorted(run_id for run_id in logs.tombstones(repo).runs if len(text) >= 4 and run_id.startswith(text))
