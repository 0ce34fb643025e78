"""Moving finished runs into the archive of this clone: three refs for a push to compare, instead of one for each run.

Objects first, then one change of refs: the archive's three and the deletion of the runs'. Done twice, or by two at
once, or killed in between and done again, the outcome is the same: what is there already is not put there again.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import archive as lines_
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.git import objects, reflock, snapshot
from gittrack.git.objects import Object
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archive_trees, archives, documents, live, logs, operations, writer
from gittrack.runs.annotations import Author

FULL = 20_000  # runs of one archive; then the next one is begun
AT_ONCE = 5_000  # runs in one operation
ENDED = ("completed", "failed", "killed", "crashed")

_TRIES = 5
_TURN = "archive.lock"
_SNAPSHOT = re.compile(rb'"snapshot":"([0-9a-f]{40,64})"')

Progress = Callable[[int], Any]  # told how many runs more are done


class Result(NamedTuple):
    """What became of the runs: moved, or only their refs deleted as an archive had them, or left where they are."""

    archived: list[str]
    there: list[str]
    left: dict[str, str]  # id -> why

    @property
    def done(self) -> list[str]:
        return [*self.archived, *self.there]


class Run(NamedTuple):
    """A run that may be archived."""

    id: str
    tip: str
    commits: Sequence[Object]  # the first one first
    number: int  # its format
    values: Mapping[str, Any]  # its documents
    code: str | None

    @property
    def line(self) -> bytes:
        tree, _ = objects.links(self.commits[-1].data)
        return lines_.encode(self.id, self.tip, tree, len(self.commits), self.code, self.number, self.values)


class Plan(NamedTuple):
    runs: list[Run]
    left: dict[str, str]


class _Own(NamedTuple):
    """The archive of this clone that is being filled."""

    writer: str
    number: int
    tips: Mapping[str, str]  # part -> commit
    runs: int  # in its records

    def ref(self, part: str) -> str:
        return layout.archive_ref(self.writer, self.number, part)


def archive(repo: Repository, ids: Iterable[str], author: Author, progress: Progress | None = None) -> Result:
    """Move these runs into this clone's archive. Raises CannotWrite, RefConflict; DamagedRecord of an archive."""
    waiting, group = list(dict.fromkeys(ids)), os.urandom(6).hex()
    result = Result([], [], {})
    with reflock.turn(repo.paths, _TURN):
        while waiting:
            some, done = _attempt(repo, waiting, author, group)
            waiting = waiting[some:]
            result.archived.extend(done.archived)
            result.there.extend(done.there)
            result.left.update(done.left)
            if progress:
                progress(some)
    return result


def plan(repo: Repository, ids: Iterable[str]) -> Plan:
    """Which of these runs may be archived, read whole; and why not the others."""
    tips = loose(repo)
    tombstones = logs.tombstones(repo)
    left: dict[str, str] = {}
    wanted: list[str] = []
    for run_id in dict.fromkeys(ids):
        if run_id not in tips:
            left[run_id] = "it is archived already" if archives.find(repo, run_id) else "there is no such run here"
        elif os.path.isdir(live.folder(repo.paths, run_id)):
            left[run_id] = "it is still going"
        elif tombstones.forbid(layout.run_ref(run_id), tips[run_id]):
            left[run_id] = "it was purged"
        else:
            wanted.append(run_id)
    found: list[Run] = []
    for run_id, files in zip(wanted, repo.read_files([tips[one] for one in wanted], documents.FILES), strict=True):
        try:
            found.append(_run(repo, run_id, tips[run_id], files))
        except errors.GittrackError as error:
            left[run_id] = error.message
    return Plan(found, left)


def _run(repo: Repository, run_id: str, tip: str, files: Sequence[bytes | None]) -> Run:
    """The run, whose documents and history must be whole. Raises UsageError where it has not ended."""
    record = documents.decode(run_id, tip, files)
    if record.status.get("status") not in ENDED:
        raise errors.UsageError("it has not ended")
    return _with_commits(record, files, _history(repo, tip))


def _with_commits(record: Record, files: Sequence[bytes | None], commits: Sequence[Object]) -> Run:
    values = dict(zip(lines_.DOCUMENTS, (record.facts, record.status, record.params, record.summary), strict=True))
    code = record.facts.get("snapshot")
    code = code if isinstance(code, str) and objects.is_oid(code) else None
    return Run(record.id, commits[-1].oid, commits, int((files[0] or b"").split()[1]), values, code)


def _history(repo: Repository, tip: str) -> list[Object]:
    """The commits of a run, the first one first."""
    commits: list[Object] = []
    here: str | None = tip
    while here is not None:
        try:
            commits.append(Object(here, *repo.read(here)))
            tree, parents = objects.links(commits[-1].data)
        except (KeyError, ValueError):  # a shallow clone, or no commit of ours
            raise errors.DamagedRecord("its history is not all in this clone") from None
        if len(parents) > 1:
            raise errors.DamagedRecord("its history is not that of a run")
        if not repo.exists(tree):
            raise errors.DamagedRecord("its records are not all in this clone")
        here = parents[0] if parents else None
    return commits[::-1]


def _attempt(repo: Repository, ids: Sequence[str], author: Author, group: str) -> tuple[int, Result]:
    """One operation, planned again when a ref moved meanwhile. Gives how many of the runs it was for, too."""
    for left in range(_TRIES - 1, -1, -1):
        own = _own(repo, writer.writer_id(repo.paths))
        some = ids[: min(AT_ONCE, max(1, FULL - own.runs))]
        result, changes = _prepare(repo, own, plan(repo, some))
        try:
            if changes:
                operations.apply(
                    repo, changes, author.command, author.now, who=author.who, group=group, keep=False, durable=True
                )
            return len(some), result
        except errors.RefConflict:
            if not left:
                raise
    raise AssertionError


def _own(repo: Repository, me: str) -> _Own:
    """The last archive of this clone, or the next one when that is full."""
    found: dict[int, dict[str, str]] = {}
    for ref, tip in repo.refs(f"{layout.ARCHIVE}{me}/").items():
        name = layout.archive_of_ref(ref)
        if name:
            found.setdefault(name[1], {})[name[2]] = tip
    number = max(found, default=0)
    for tip in found.get(number, {}).values():
        archives.check(repo, tip)
    own = _Own(me, number, found.get(number, {}), 0)
    own = own._replace(runs=archive_trees.count(repo, own.tips.get(archives.RECORDS)))
    is_full = own.runs >= FULL and not _is_torn(repo, own)
    is_maimed = (
        archives.LIST in own.tips and archives.RECORDS not in own.tips
    )  # by somebody else: what it had is unknown
    return _Own(me, number + 1, {}, 0) if is_full or is_maimed else own


def _is_torn(repo: Repository, own: _Own) -> bool:
    """Whether somebody was killed between `records` and `list`."""
    return archive_trees.count_of(repo, own.tips.get(archives.LIST)) != own.runs


def _prepare(repo: Repository, own: _Own, found: Plan) -> tuple[Result, list[RefChange]]:
    """Write the objects, and say how the refs have to move."""
    standing = archive_trees.standing(repo, [run.id for run in found.runs])
    there = [run for run in found.runs if run.tip in standing.get(run.id, {})]
    fresh = [run for run in found.runs if run.id not in standing or _may_stand(own, run, standing[run.id])]
    known = {run.id for run in (*there, *fresh)}
    left = {**found.left, **{run.id: "an archive has another state of it" for run in found.runs if run.id not in known}}
    result = Result([run.id for run in fresh], [run.id for run in there], left)
    parts = _parts(repo, own, fresh, [*fresh, *there])
    repo.write([one for part in parts.values() for one in part.made], durable=True)
    changes = [
        RefChange(own.ref(name), own.tips.get(name), part.tip)
        for name, part in parts.items()
        if part.tip != own.tips.get(name)
    ]
    gone = [RefChange(layout.run_ref(run.id), run.tip, None) for run in (*fresh, *there)]
    return result, [*changes, *gone, *_idle_code(repo, [*fresh, *there])]


def _may_stand(own: _Own, run: Run, standing: Mapping[str, str]) -> bool:
    """Whether a run that archives have in other states may be put into this one: nobody says two things of a run."""
    mine = f"{layout.ARCHIVE}{own.writer}/"
    return run.tip not in standing and not any(ref.startswith(mine) for ref in standing.values())


def _parts(repo: Repository, own: _Own, fresh: Sequence[Run], ended: Sequence[Run]) -> dict[str, archive_trees.Part]:
    """What the three refs are to hold, in the order in which they may move."""
    count = own.runs + len(fresh)
    if not ended and not _is_torn(repo, own):
        return {}
    torn = _unlisted(repo, own) if _is_torn(repo, own) else []
    ours, users = _code(repo, ended)
    return {
        archives.RECORDS: archive_trees.records(
            repo, own.tips.get(archives.RECORDS), {run.id: run.commits for run in fresh}, count
        ),
        archives.CODE: archive_trees.code(repo, own.tips.get(archives.CODE), ours, users, count),
        archives.LIST: archive_trees.list_(
            repo, own.tips.get(archives.LIST), (run.line for run in (*torn, *fresh)), count
        ),
    }


def _unlisted(repo: Repository, own: _Own) -> list[Run]:
    """The runs that `records` has and `list` does not name."""
    listed: set[str] = set()
    if archives.LIST in own.tips:
        for data in archives.list_segments(repo, own.tips[archives.LIST]):
            listed.update(run_id for run_id, _, _ in lines_.tips(data))
    found = []
    for run_id in archive_trees.run_ids(repo, own.tips[archives.RECORDS]):
        if run_id not in listed:
            commits = archives.commits_at(repo, own.tips[archives.RECORDS], run_id)
            tree = objects.parse_commit(commits[-1].data).tree
            files = next(iter(repo.read_files([tree], documents.FILES)))
            found.append(_with_commits(documents.decode(run_id, commits[-1].oid, files), files, commits))
    return found


def _code(repo: Repository, runs: Sequence[Run]) -> tuple[list[Object], list[str]]:
    """(snapshots that gittrack made, commits of users) of these runs, as far as they are here and in no archive."""
    ours: list[Object] = []
    users: list[str] = []
    trees = list(archives.tips(repo, archives.CODE).values())
    for oid in dict.fromkeys(run.code for run in runs if run.code):
        if not repo.exists(oid) or any(repo.read_path(tip, f"{layout.archived_code(oid)}/commit") for tip in trees):
            continue
        kind, data = repo.read(oid)
        if kind != "commit":
            continue
        read = objects.parse_commit(data)
        if read.author == snapshot.AUTHOR:
            ours.append(Object(oid, kind, data))
            users += [parent for parent in read.parents if repo.exists(parent)]
        else:
            users.append(oid)
    return ours, users


def _idle_code(repo: Repository, runs: Sequence[Run]) -> list[RefChange]:
    """Deletions of the code refs that only these runs needed."""
    codes = {layout.code_ref(run.code): run.code for run in runs if run.code}
    refs = repo.refs(layout.CODE) if codes else {}
    idle = {ref: code for ref, code in codes.items() if refs.get(ref) == code}
    if not idle:
        return []
    gone = {run.id for run in runs}
    others = [tip for run_id, tip in loose(repo).items() if run_id not in gone]
    needed = _needed_code(repo, others, set(idle.values()))
    return [RefChange(ref, code, None) for ref, code in idle.items() if code not in needed]


def _needed_code(repo: Repository, others: Sequence[str], codes: Collection[str]) -> set[str]:
    """Those of `codes` that a run that goes on now says its snapshot is, or one of these others that have refs."""
    found: set[str] = set()
    for run_id in live.ids(repo.paths):
        head = live.head(live.folder(repo.paths, run_id))
        run = head[1].get("run") if head else None
        if isinstance(run, dict) and run.get("snapshot") in codes:
            found.add(run["snapshot"])
    for (facts,) in repo.read_files(others, ("run.json",)):
        if len(found) == len(codes):  # mostly soon: of code that is in use, another run is near
            break
        found.update(oid for one in _SNAPSHOT.findall(facts or b"") if (oid := one.decode()) in codes)
    return found


def loose(repo: Repository) -> dict[str, str]:
    """Id -> tip of every run that has a ref."""
    return {run_id: tip for ref, tip in repo.refs(layout.RUNS).items() if (run_id := layout.id_of_ref(ref))}
