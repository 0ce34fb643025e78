"""What another repository gave us, looked at before a ref names it.

A remote is written by everybody who may push, so what comes may be damaged, forged or made to harm: each thing is
judged by itself, and what is refused takes nothing else with it. Sizes are asked before anything is read, since a few
kilobytes of a pack can hold gigabytes. That the objects are what their names say, and that no tree holds `.git` or
`..`, is git's fsck (`incoming`).
"""

import contextlib
from collections.abc import Mapping, Sequence

from gittrack import errors
from gittrack.core import annotations, layout
from gittrack.core.annotations import Op
from gittrack.git import catfile, objects
from gittrack.git.repository import Repository
from gittrack.runs import bombs, logs, segments

SEGMENT_LIMIT = 16 << 20  # of a segment of lines: closed at 1 MiB, and the last line may be long
LOG_LIMIT = 128 << 20  # of all segments of a log: half a million annotations
LIST_LIMIT = 2 << 30  # of those of a list, which has 20,000 runs: 100 kB for each
CLOCK_LEAP = 1_000_000  # a clock counts operations: one further ahead than this of all that are known was made up


RUN, CODE, LOG, LIST, RECORDS, ARCHIVED_CODE, DATA = "run", "code", "log", "list", "records", "archived code", "data"


def kind(ref: str) -> str | None:
    """Which of the refs of docs/format.md §2 it is; None for one whose name is none of them."""
    if ref.startswith(layout.RUNS):
        return RUN if layout.id_of_ref(ref) else None
    if ref.startswith(layout.CODE):
        oid = ref.rpartition("/")[2]
        return CODE if objects.is_oid(oid) and ref == layout.code_ref(oid) else None
    if ref.startswith(layout.LOG):
        return LOG if logs.is_writer(ref[len(layout.LOG) :]) else None
    if ref.startswith("refs/track/data/"):
        return DATA
    archive = layout.archive_of_ref(ref)
    return {"list": LIST, "records": RECORDS, "code": ARCHIVED_CODE}[archive[2]] if archive else None


def commits(repo: Repository, tips: Mapping[str, str]) -> dict[str, str]:
    """Ref -> what is wrong with what it stands at, of those that stand at no commit of a usual size."""
    found = catfile.measured(repo.git, list(tips.values()))
    return {ref: why for ref, one in zip(tips, found, strict=True) if (why := _commit_problem(one))}


def _commit_problem(found: tuple[str, int] | None) -> str | None:
    if found is None:
        return "its commit did not come"
    what, size = found
    if what != "commit":
        return f"it stands at a {what}, not at a commit"
    return f"its commit has {size:,} bytes" if size > bombs.COMMIT_LIMIT else None


def log(repo: Repository, writer: str, old: str | None, new: str) -> tuple[str | None, list[Op]]:
    """What is wrong with the log `new` of a writer, whose log is known up to `old`; and what it adds."""
    if old is not None and not is_ancestor(repo, old, new):
        return "it does not go on from what this writer said before", []
    try:
        wrong = series(repo, new, logs.ROOT, layout.LOG_FORMAT)
        if wrong:
            return wrong, []
        before = logs.change(repo, writer, old, {}).segments if old else {}
        return None, logs.change(repo, writer, new, before).ops
    except (errors.DamagedRecord, ValueError) as error:
        return getattr(error, "message", str(error)), []


def clocks(ops: Sequence[Op], most: int) -> str | None:
    """What is wrong with the clocks of these operations, when there are `most` operations in all that anybody can have
    counted. There may be logs that we do not know, hence the CLOCK_LEAP."""
    last = 0
    for op in ops:
        if op.clock <= last:
            return "its clock goes back"
        if op.clock > most + CLOCK_LEAP:
            return f"its clock says {op.clock:,}, when nobody can have counted beyond {most:,}"
        last = op.clock
    return None


def highest(repo: Repository, tips: Mapping[str, str]) -> int:
    """The highest clock in these logs (writer -> tip): of each it stands in the last segment. Damaged ones count 0."""
    found = 0
    for writer, tip in tips.items():
        with contextlib.suppress(errors.DamagedRecord, KeyError, ValueError):
            blobs = list(segments.oids(repo, tip, logs.ROOT).values())
            ops = annotations.parse(repo.read(blobs[-1])[1], writer) if blobs else []
            found = max([found, *(op.clock for op in ops)])
    return found


def series(repo: Repository, tip: str, root: str, number: int) -> str | None:
    """Why the log or list at `tip` cannot be read, or must not be; `number`: the newest format that is known."""
    try:
        layout.check_format(repo.read_path(tip, "format"), "it", number)
        return large_segment(repo, tip, root)
    except (errors.NewerFormat, errors.DamagedRecord, KeyError, ValueError) as error:
        return getattr(error, "message", str(error))


def large_segment(repo: Repository, tip: str, root: str) -> str | None:
    """What is wrong with the size or kind of the segments of the series `root`, or None. Raises DamagedRecord."""
    blobs = list(segments.oids(repo, tip, root).values())
    total, most = 0, LOG_LIMIT if root == logs.ROOT else LIST_LIMIT
    for one in catfile.measured(repo.git, blobs):
        if one is None:
            return f"a part of its {root} did not come"
        if one[0] != "blob" or one[1] > SEGMENT_LIMIT:
            return f"a part of its {root} is a {one[0]} of {one[1]:,} bytes"
        total += one[1]  # a segment that stands in it often is a small object, and is read as often
    return f"its {root} has {total:,} bytes" if total > most else None


def is_ancestor(repo: Repository, old: str, new: str) -> bool:
    """Whether `new` goes on from `old`. False also where an object on the way is not here."""
    return old == new or repo.git.call("merge-base", "--is-ancestor", old, new).code == 0
