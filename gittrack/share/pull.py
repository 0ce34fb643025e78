"""Runs of others brought here: what there is, what of it is new, and one change of refs that takes it.

One connection where nothing is new, two where something is. What a remote no longer has stays here, and nothing here is
rewritten by it: docs/sharing.md says what happens instead.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import network, stamp
from gittrack.git.lfs import shown
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, leftovers, logs, operations, parting, remotes, writer
from gittrack.runs.annotations import Author
from gittrack.share import bringing, incoming, rest, settled, validate
from gittrack.share.validate import ARCHIVED_CODE, CODE, LIST, LOG, RECORDS, RUN

_TRIES = 5


class Wish(NamedTuple):
    """What is wanted beside runs and annotations."""

    code: bool = False
    records: bool = False
    again: bool = False  # also what was refused before

    @property
    def kinds(self) -> frozenset[str]:
        more = {CODE, ARCHIVED_CODE} if self.code else set[str]()
        return frozenset({RUN, LOG, LIST} | more | ({RECORDS} if self.records else set()))


class Plan(NamedTuple):
    """What is to be fetched, ref -> oid; and refs whose names are none of gittrack's."""

    wants: dict[str, str]
    odd: dict[str, str]


class Result(NamedTuple):
    """What a pull brought. `refused` and `aside`: ref -> why, said once."""

    remote: str
    new: list[str]  # ids of runs
    more: list[str]  # of runs that have gone on
    annotations: int
    archived: int  # runs that archives list and that were not known
    moved: int  # runs here whose refs went since an archive has them
    code: int  # snapshots, and archives of them
    refused: dict[str, str]
    aside: dict[str, str]
    lost: list[str]  # refs that are gone there since it was seen last, and stay here
    parted: str | None = None  # the id under which this clone writes from now on
    purged: int = 0  # runs that somebody has purged, removed here
    removed: int = 0  # refs of such, removed there
    later: int = 0  # refs that were not looked at yet, since so many others are bad

    @property
    def is_empty(self) -> bool:
        return not any(self[1:])


def pull(repo: Repository, remote: str, wish: Wish, author: Author, progress: network.Progress | None = None) -> Result:
    """Take what `remote` has and this clone lacks. One operation, which can be undone.

    Raises RemoteFailed, CannotWrite, RefConflict.
    """
    url = network.url(repo.git, remote)
    seen = remotes.load(repo.paths, url)
    there = network.ls_remote(repo.git, remote)
    if seen is not None and is_settled(repo, seen, there, wish):
        _keep_settled(repo, remote, there, seen.stamp)
        return _nothing(remote)
    for left in range(_TRIES - 1, -1, -1):
        try:
            return _pull(repo, remote, url, seen, there, wish, author, progress)
        except errors.RefConflict:  # somebody else pulls, or records: planned again with what is here now
            if not left:
                raise
    raise AssertionError


def take(
    repo: Repository, place: str, url: str, wish: Wish, author: Author, progress: network.Progress | None = None
) -> Result:
    """As `pull`, out of `place`, a repository that is not there for long; what was seen in it is noted by `url`."""
    for left in range(_TRIES - 1, -1, -1):
        try:
            there = network.ls_remote(repo.git, place)
            return _pull(repo, place, url, None, there, wish, author, progress)
        except errors.RefConflict:
            if not left:
                raise
    raise AssertionError


def preview(repo: Repository, place: str, url: str, wish: Wish) -> Plan:
    """What `take` would do; nothing is noted."""
    return _planned(repo, network.ls_remote(repo.git, place), None, wish, remotes.digest(url))


def news(repo: Repository, remote: str) -> Plan:
    """What a pull would fetch; what is there is noted as seen. Raises RemoteFailed, CannotWrite."""
    url = network.url(repo.git, remote)
    seen = remotes.load(repo.paths, url)
    there = network.ls_remote(repo.git, remote)
    found = _planned(repo, there, seen, Wish(), remotes.digest(url))
    refused = seen.refused if seen else {}
    if seen is None or seen.refs != there:
        lost = remotes.lost(seen, there, repo.refs(network.PREFIX))
        remotes.save(repo.paths, remotes.Seen(url, there, time.time(), refused, lost=lost))
    return found


def left(repo: Repository, seen: remotes.Seen) -> Plan:
    """What a pull would fetch if the remote is as it was when it was asked last."""
    return _planned(repo, seen.refs, seen, Wish(), remotes.digest(seen.url))


def is_settled(repo: Repository, seen: remotes.Seen, there: Mapping[str, str], wish: Wish) -> bool:
    """Whether nothing moved, there or here, since nothing was left to be taken."""
    return wish == Wish() and bool(seen.stamp) and seen.refs == there and stamp.is_unchanged(repo.paths, seen.stamp)


def plan(
    there: Mapping[str, str], local: Mapping[str, str], done: Collection[tuple[str, str]], kinds: Collection[str]
) -> Plan:
    """What has to be fetched. `done`: refs and oids that were dealt with already."""
    wants: dict[str, str] = {}
    odd: dict[str, str] = {}
    for ref, oid in there.items():
        if local.get(ref) == oid or (ref, oid) in done:
            continue
        kind = validate.kind(ref)
        if kind is None:
            odd[ref] = "its name is none of gittrack's"
        elif kind in kinds or (kind in (RECORDS, ARCHIVED_CODE) and ref in local):  # once taken, followed
            wants[ref] = oid
    return Plan(wants, odd)


def counted(found: Plan) -> dict[str, int]:
    """How many there are of each kind, by a word for it."""
    words = {RUN: "run", LOG: "annotation log", LIST: "archive list"}
    kinds = [validate.kind(ref) for ref in found.wants]
    return {word: kinds.count(kind) for kind, word in words.items()}


def _planned(repo: Repository, there: Mapping[str, str], seen: remotes.Seen | None, wish: Wish, digest: str) -> Plan:
    local = repo.refs("refs/track/")
    grave = logs.tombstones(repo)
    there = {ref: oid for ref, oid in there.items() if not grave.forbid(ref, oid)}
    done = set(seen.refused.items()) if seen and not wish.again else set()
    aside = repo.refs(f"{layout.REMOTES}{digest}/")
    done |= {(ref, oid) for ref, oid in there.items() if aside.get(incoming.aside_ref(digest, ref)) == oid}
    done |= {(ref, oid) for ref, oid in there.items() if _is_behind(repo, local.get(ref), oid, ref)}
    found = plan(there, local, done, wish.kinds)
    if any(ref.startswith(layout.RUNS) for ref in found.wants):
        listed = archives.archived(repo).items()
        wants = {ref: oid for ref, oid in found.wants.items() if (ref.rpartition("/")[2], oid) not in listed}
        return found._replace(wants=wants)
    return found


def _is_behind(repo: Repository, local: str | None, oid: str, ref: str) -> bool:
    """Whether what is here has gone on from what is there."""
    if local is None or local == oid or not ref.startswith((layout.RUNS, layout.LOG, layout.ARCHIVE)):
        return False
    return repo.exists(oid) and validate.is_ancestor(repo, oid, local)


def _let_go(changes: Iterable[RefChange]) -> dict[str, int]:
    """The runs that an archive has now, with about how many commits."""
    return {run_id: 2 for one in changes if one.new is None and (run_id := layout.id_of_ref(one.ref))}


def _pull(
    repo: Repository,
    remote: str,
    url: str,
    seen: remotes.Seen | None,
    there: Mapping[str, str],
    wish: Wish,
    author: Author,
    progress: network.Progress | None,
) -> Result:
    digest = remotes.digest(url)
    before = stamp.take(repo.paths, time.time())  # before the refs are read: what moves meanwhile is noticed
    local = repo.refs("refs/track")
    todo = _planned(repo, there, seen, wish, digest)
    bad, gone, later = bringing.bring(repo.git, remote, todo.wants, progress)
    came = {ref: oid for ref, oid in todo.wants.items() if ref not in bad and ref not in gone and ref not in later}
    judged = incoming.judge(repo, came, local, there, digest)
    refs = {change.ref for change in judged.changes}
    judged.changes.extend(one for one in incoming.settled(local, there, digest) if one.ref not in refs)
    if judged.changes:
        leftovers.expect(repo.paths, _let_go(judged.changes), judged.changes)
        operations.apply(repo, judged.changes, author.command, author.now, who=author.who, keep=False)
    parted = _part(repo, judged, there, author) if judged.ours or judged.own else None
    buried = rest.here(repo, author)
    removed: tuple[str, ...] = ()
    if network.url(repo.git, remote) == url:  # not a bundle
        removed = rest.there(repo, remote, there, progress=progress).removed
    refused = {**todo.odd, **bad, **judged.refused}
    known = {ref: oid for ref, oid in (seen.refused if seen else {}).items() if there.get(ref) == oid}
    known |= {ref: there[ref] for ref in refused}
    is_moved = judged.changes or gone or later or parted or buried.refs or removed
    is_quiet = before.settled and not is_moved
    if is_quiet:
        _keep_settled(repo, remote, there, before.text)
    lost = remotes.lost(seen, there, repo.refs(network.PREFIX))
    remotes.save(repo.paths, remotes.Seen(url, there, time.time(), known, before.text if is_quiet else "", lost))
    kinds = [validate.kind(change.ref) for change in judged.changes if change.new]
    new, more, moved = incoming.runs_of(judged.changes)
    return Result(
        remote=remote,
        new=new,
        more=more,
        annotations=len(judged.ops),
        archived=sum(verdict.fresh for verdict in judged.lists.values()),
        moved=len(moved),
        code=kinds.count(CODE) + kinds.count(ARCHIVED_CODE),
        refused=refused,
        aside=judged.aside,
        lost=[ref for ref in lost if seen and ref in seen.refs],
        parted=parted,
        purged=len(buried.runs),
        removed=len(removed),
        later=len(later),
    )


def _part(repo: Repository, judged: incoming.Judged, there: Mapping[str, str], author: Author) -> str:
    """Go on under another id than the clone that writes under ours; gives that id."""
    log = there.get(layout.log_ref(writer.writer_id(repo.paths)))
    theirs = judged.ours or (log if log and repo.exists(log) else None)
    return parting.part(repo, theirs, author, judged.own)


def _nothing(remote: str) -> Result:
    return Result(remote, [], [], 0, 0, 0, 0, {}, {}, [])


def _keep_settled(repo: Repository, remote: str, there: Mapping[str, str], seen: str) -> None:
    if shown(remote) == remote:  # no password is kept
        settled.save(repo.paths, repo.git.environ, remote, there, seen, default=remote == remotes.meant(repo.git))
