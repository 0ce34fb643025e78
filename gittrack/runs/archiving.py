"""Moving finished runs into the archive of this clone: three refs for a push to compare, instead of one for each run.

Objects first, then one change of refs: the archive's three and the deletion of the runs'. Done twice, or by two at
once, or killed in between and done again, the outcome is the same: what is there already is not put there again.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import archive as lines_
from gittrack.core import layout
from gittrack.git import objects, reflock
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archive_code, archive_trees, archives, documents, leftovers, operations, writer
from gittrack.runs.annotations import Author
from gittrack.runs.archive_plan import ENDED, Plan, Run, loose, plan, with_commits

__all__ = ["AT_ONCE", "ENDED", "FULL", "Plan", "Progress", "Result", "Run", "archive", "loose", "plan"]

FULL = 20_000  # runs of one archive; then the next one is begun
AT_ONCE = 5_000  # runs in one operation

_TRIES = 5
_TURN = "archive.lock"

Progress = Callable[[int], Any]  # told how many runs more are done


class Result(NamedTuple):
    """What became of the runs: moved, or only their refs deleted as an archive had them, or left where they are."""

    archived: list[str]
    there: list[str]
    left: dict[str, str]  # id -> why

    @property
    def done(self) -> list[str]:
        return [*self.archived, *self.there]


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


def _attempt(repo: Repository, ids: Sequence[str], author: Author, group: str) -> tuple[int, Result]:
    """One operation, planned again when a ref moved meanwhile. Gives how many of the runs it was for, too."""
    for left in range(_TRIES - 1, -1, -1):
        own = _own(repo, writer.writer_id(repo.paths))
        some = ids[: min(AT_ONCE, max(1, FULL - own.runs))]
        found = plan(repo, some)
        result, changes = _prepare(repo, own, found)
        try:
            if changes:
                done = {*result.done}
                leftovers.expect(
                    repo.paths, {one.id: len(one.commits) for one in found.runs if one.id in done}, changes
                )
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
    return result, [*changes, *gone, *archive_code.idle(repo, [*fresh, *there])]


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
    ours, users = archive_code.lacking(repo, ended)
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
            found.append(with_commits(documents.decode(run_id, commits[-1].oid, files), files, commits))
    return found
