"""Bringing runs to a git remote: artifacts first, then refs, in as few pushes as the server takes.

A push decides, moves refs by explicit old values, and decides again when somebody else was faster or the server has its
own mind; so it can be cut at any point, and the next one goes on. What it is going to change there is written down
before, for `git track undo`.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import network, remote_errors
from gittrack.git.lfs import shown
from gittrack.git.network import Outcome
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import live, operations, remotes
from gittrack.runs.annotations import Author
from gittrack.share import cleaning, look, manners, rest
from gittrack.share.look import Known
from gittrack.share.manners import Manners
from gittrack.share.plan import DELETED, LIVE, Left, Plan, batches, plan

BATCH = 100  # refs of one push
MANY = 25  # finished runs that go at once: more of them are archived first
_TRIES = 12
_LONGEST = 60.0  # seconds that a push waits for a server that limits them

Say = Callable[[str], None]


class Wish(NamedTuple):
    """What is to be pushed. `ids`: these runs (None: those that this clone recorded). `everything`: all that is here,
    of whomever. `hidden`: runs that were deleted from the lists; they go only when they are named."""

    ids: frozenset[str] | None = None
    everything: bool = False
    hidden: Collection[str] = ()
    code: bool = True
    artifacts: bool = True


class Prepared(NamedTuple):
    """A push that was decided. `runs`: those that the remote lacks."""

    remote: look.Remote
    plan: Plan
    runs: tuple[Known, ...]
    full: tuple[str, ...]  # of them, those that may be archived first
    archived: tuple[str, ...] = ()  # further ones, that go in an archive

    @property
    def wanted(self) -> list[str]:
        """All runs that are to be there afterwards and were not."""
        return [*self.archived, *(one.id for one in self.runs)]


class Result(NamedTuple):
    """What a push did. `moved`: refs there as they are now. `failed`: ref -> why it is not as it was to be."""

    runs: tuple[str, ...]
    moved: tuple[RefChange, ...]
    failed: dict[str, Outcome]
    left: tuple[Left, ...]
    restored: tuple[str, ...]  # that somebody had taken away there
    operation: str | None = None


def prepare(repo: Repository, remote: look.Remote, wish: Wish) -> Prepared:
    """Decide, from what is here and what was seen there. Raises DamagedRecord."""
    here, there = repo.refs(network.PREFIX), remote.there
    mine = look.me(repo)
    known, left = _wanted(repo, remote, wish, mine, here)
    refs = _others(repo, here, wish, mine)
    run_refs = [layout.run_ref(one.id) for one in known]
    forward = look.forward(repo, here, there.refs, [*refs, *(ref for ref in run_refs if ref in there.refs)])
    forward |= cleaning.grown(
        repo, remote.name, here, there.refs, [ref for ref in refs if ref not in forward], remote.graves
    )
    decided = plan(
        here,
        there,
        look.with_code(known, here),
        refs,
        forward,
        look.archived(repo, mine, here, there.refs),
        remote.graves,
        wish.code,
    )
    going = set(decided.runs)
    sent = tuple(one for one in known if one.id in going)
    ours = tuple(one.id for one in sent if one.finished and one.writer in mine)
    return Prepared(remote, decided._replace(left=(*decided.left, *left)), sent, ours)


def _wanted(
    repo: Repository, remote: look.Remote, wish: Wish, mine: Collection[str], here: dict[str, str]
) -> tuple[list[Known], list[Left]]:
    """The runs that are meant and may be lacking there, and those that are meant and do not go."""
    there = remote.there.refs
    no_code = any(ref.startswith(layout.CODE) and ref not in there for ref in here) and wish.code
    ids = [run_id for ref in here if (run_id := layout.id_of_ref(ref))]
    lacking = [run_id for run_id in ids if no_code or there.get(layout.run_ref(run_id)) != here[layout.run_ref(run_id)]]
    found = look.runs(repo, lacking if wish.ids is None else [run_id for run_id in lacking if run_id in wish.ids])
    if wish.ids is None and not wish.everything:
        found = [one for one in found if one.writer in mine]
    going = [run_id for run_id in live.ids(repo.paths) if wish.ids is None or run_id in wish.ids]
    left = [Left(run_id, LIVE) for run_id in going]
    if wish.ids is None:
        left += [Left(one.id, DELETED) for one in found if one.id in wish.hidden]
        found = [one for one in found if one.id not in wish.hidden]
    return found, left


def _others(repo: Repository, here: dict[str, str], wish: Wish, mine: Collection[str]) -> list[str]:
    """Logs and archives that go along: ours, or all. Where runs are named, only archives that hold one of them."""
    owners = {ref: parts[0] for ref in here if (parts := layout.archive_of_ref(ref))}
    owners |= {ref: ref.removeprefix(layout.LOG) for ref in here if ref.startswith(layout.LOG)}
    found = [ref for ref, owner in owners.items() if owner in mine or (wish.everything and _is_whole(ref, here))]
    if wish.ids is None:
        return found
    named = [run_id for run_id in wish.ids if layout.run_ref(run_id) not in here]
    meant = look.holding(repo, named, [ref for ref in found if ref.startswith(layout.ARCHIVE)], here)
    return [ref for ref in found if ref.startswith(layout.LOG) or ref.rpartition("/")[0] in meant]


def _is_whole(ref: str, here: Mapping[str, str]) -> bool:
    """Whether it is no archive, or one of which more is here than the list, which must not be there alone."""
    return not ref.startswith(layout.ARCHIVE) or f"{ref.rpartition('/')[0]}/records" in here


def push(
    repo: Repository,
    name: str,
    prepared: Prepared,
    wish: Wish,
    author: Author,
    progress: network.Progress | None = None,
    say: Say = print,
    batch: int = BATCH,
) -> Result:
    """Carry a prepared push out. Raises RemoteFailed when the remote fails as a whole, and nothing was moved."""
    if rest.here(repo, author, prepared.remote.graves).refs:  # somebody has purged what was to be pushed
        prepared = prepare(repo, prepared.remote, wish)
    lost, archived = set(prepared.remote.lost), prepared.archived
    notes = proven = manners.load(repo.paths, prepared.remote.url)
    moved: dict[str, RefChange] = {}
    ids: dict[str, None] = {}
    group = os.urandom(6).hex()
    failed: dict[str, Outcome] = {}
    op_id = None
    for attempt in range(_TRIES):
        todo = _allowed(prepared.plan, notes)
        if not todo.every:
            break
        gone_to = operations.Remote(shown(name), shown(prepared.remote.url), todo.every)
        op_id = operations.begin(repo.paths, author.command, author.now, who=author.who, group=group, remote=gone_to)
        size = notes.batch or batch
        done, failed, broken = _send(repo, name, todo, notes, progress, size)
        if broken is not None:
            done = _arrived(repo, name, todo, done)
        operations.end(repo.paths, op_id, operations.DONE if done else operations.FAILED)
        moved |= {change.ref: change for change in done}
        ids |= dict.fromkeys(run_id for run_id in todo.runs if layout.run_ref(run_id) in moved)
        remotes.note_refs(repo.paths, prepared.remote.url, {change.ref: change.new for change in done})
        if done and notes != proven:  # a way of pushing is kept when it has helped
            manners.save(repo.paths, notes)
            proven = notes
        if not failed and broken is None:
            break
        gone = {change.ref for change in todo.every if change.new is None}
        adapted = _adapted(notes, failed, gone, broken, say, size) if attempt < _TRIES - 1 else None
        if adapted is None:
            if broken is not None and not moved:
                raise broken
            failed = _unsure(todo, moved, broken) if broken else _hidden(failed, prepared.remote)
            break
        notes = adapted
        failed = {}
        prepared = prepare(repo, look.remote(repo, name), wish)
    if any(ref.startswith(layout.ARCHIVE) for ref in moved) and not any(
        ref.startswith(layout.ARCHIVE) for ref in failed
    ):
        ids |= dict.fromkeys(archived)
    restored = tuple(ref for ref in moved if ref in lost)
    there = {**prepared.remote.there.refs, **{change.ref: change.new for change in moved.values()}}
    rest.there(repo, name, {ref: oid for ref, oid in there.items() if oid}, prepared.remote.graves, progress)
    return Result(tuple(ids), tuple(moved.values()), failed, prepared.plan.left, restored, op_id)


def _allowed(wanted: Plan, notes: Manners) -> Plan:
    """The plan, without what the server does not take."""
    if notes.deletes:
        return wanted
    return wanted._replace(archives=tuple(change for change in wanted.archives if change.new is not None))


Sent = tuple[list[RefChange], dict[str, Outcome], errors.RemoteFailed | None]


def _send(
    repo: Repository, name: str, todo: Plan, notes: Manners, progress: network.Progress | None, batch: int
) -> Sent:
    """Push all of a plan. The first group of refs that fails ends it, for what follows relies on it."""
    done: list[RefChange] = []
    known = not notes.batch or len(todo.archives) <= notes.batch  # what the server takes is not known to be less
    fits = known and network.fits(todo.archives)
    for changes, atomic in groups(todo, notes.atomic and fits, batch):
        try:
            outcomes = network.push(repo.git, name, changes, atomic, progress)
        except errors.RemoteFailed as error:
            return done, {}, error
        done += [change for change in changes if outcomes[change.ref].done]
        failed = {ref: one for ref, one in outcomes.items() if not one.done}
        if failed:
            return done, failed, None
    return done, {}, None


def _arrived(repo: Repository, name: str, todo: Plan, done: list[RefChange]) -> list[RefChange]:
    """What has moved when a push broke off: a server may do its part when nobody listens any more."""
    try:
        there = network.ls_remote(repo.git, name)
    except errors.RemoteFailed:
        return done
    return [change for change in todo.every if there.get(change.ref) == change.new]


def groups(todo: Plan, atomic: bool, batch: int) -> list[tuple[list[RefChange], bool]]:
    """What goes in one push, and whether all of it or none. An archive goes with the deletions of its runs' refs."""
    every = list(todo.every)
    if len(every) <= batch and (atomic or not todo.archives):
        return [(every, bool(todo.archives))]
    first = [(some, False) for some in batches(todo.changes, batch)]
    if atomic:
        middle = [(list(todo.archives), True)] if todo.archives else []
    else:  # one after the other, so that nobody ever misses a run
        made = [change for change in todo.archives if change.new is not None]
        gone = [change for change in todo.archives if change.new is None]
        middle = [*(([change], False) for change in made), *((some, False) for some in batches(gone, batch))]
    return [*first, *middle, *((some, False) for some in batches(todo.logs, batch))]


def _adapted(
    notes: Manners,
    failed: dict[str, Outcome],
    gone: Collection[str],
    broken: errors.RemoteFailed | None,
    say: Say,
    size: int,
) -> Manners | None:
    """How to go about it the next time, after pushes of at most `size` refs; None where another try is of no use.

    `gone`: the refs that were to be deleted.
    """
    kinds = {one.kind for one in failed.values()} | ({broken.kind} if broken else set())
    if remote_errors.NOT_ATOMIC in kinds:
        return notes._replace(atomic=False)
    if remote_errors.NO_DELETION in kinds or _only_deletions(failed, gone):
        return notes._replace(deletes=False)
    if remote_errors.LIMITED in kinds:
        said = "; ".join(one.said for one in failed.values())
        wait = broken.wait if broken else remote_errors.wait_of(said)
        if wait is None or wait > _LONGEST:
            return None
        say(f"the server limits pushes: going on in {wait:.0f} seconds")
        time.sleep(wait)
        return notes
    if kinds and kinds <= {remote_errors.STALE, remote_errors.TOGETHER}:
        return notes
    if kinds & {remote_errors.TOO_BIG, remote_errors.HOOK, remote_errors.OTHER}:
        smaller = min(size, len(failed) or size) // 2
        return notes._replace(batch=smaller) if smaller else None
    return None


def _only_deletions(failed: Mapping[str, Outcome], gone: Collection[str]) -> bool:
    """Whether a hook that judges ref by ref refuses deletions, and nothing else."""
    refused = {ref: one.said for ref, one in failed.items() if one.kind == remote_errors.HOOK}
    return bool(refused) and all(ref in gone and "pre-receive" not in said for ref, said in refused.items())


def _unsure(todo: Plan, moved: Collection[str], broken: errors.RemoteFailed | None) -> dict[str, Outcome]:
    said = broken.message if broken else "it was not tried"
    kind = broken.kind if broken else remote_errors.OTHER
    return {change.ref: Outcome(kind, said) for change in todo.every if change.ref not in moved}


def _hidden(failed: dict[str, Outcome], remote: look.Remote) -> dict[str, Outcome]:
    """A server that hides refs has them all the same, and then no ref is where it seems to be."""
    stale = {one.kind for one in failed.values()} <= {remote_errors.STALE, remote_errors.TOGETHER}
    if remote.there.refs or not stale:
        return failed
    said = "it has refs that it does not show (uploadpack.hideRefs)"
    return {ref: Outcome(remote_errors.HIDDEN, f"{one.said}: {said}") for ref, one in failed.items()}


def problem(result: Result, remote: str, wanted: Sequence[str]) -> errors.RemoteFailed | None:
    """The error for a push of which a part is not there: what is, what is not, and why."""
    if not result.failed:
        return None
    first = next(
        (one for one in result.failed.values() if one.kind != remote_errors.TOGETHER),
        next(iter(result.failed.values())),
    )
    there = f"{len(result.runs)} of {len(wanted)} runs are there now" if wanted else "not all of it is there"
    missing = [run_id[: layout.SHORT] for run_id in wanted if run_id not in result.runs]
    shown = f"; not: {', '.join(missing[:5])}{'…' if len(missing) > 5 else ''}" if missing else ""
    return remote_errors.of_kind(remote, first.kind, f"{first.said} ({there}{shown})")
