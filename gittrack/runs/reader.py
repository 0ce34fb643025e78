"""One run, read whole: its record, series, checkpoints, console and environment.

Of a live run the committed part is read from the record and the rest from the journals, from where the last commit
ends, so that nothing is shown twice and nothing is missing. Series are streamed: a run may have millions of points.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from gittrack import errors
from gittrack.core import codec, events, layout, parcels
from gittrack.core.model import Point, Record
from gittrack.git import objects
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import archives, documents, live, overlay, segments

PIECE = 4 * 1024 * 1024
Sign = bytes | tuple[bytes, ...]  # how lines begin
_TRIES = 4
ALL = "all"  # as `rank`: the points of every process

_CUT = re.compile(r"^Track-Cut: (\d+)$", re.MULTILINE)
_METRICS, _CHECKPOINT, _ENVIRONMENT = b'{"m"', b'{"e":"checkpoint"', b'{"e":"environment"'
_OF_FILES = (b'{"e":"artifact"', b'{"e":"kept"', b'{"e":"parcel"')
_FURTHEST = 2**63 - 1  # step that a table can hold; the summary holds no further one either
_NUMBERS = frozenset({int, float, bool})
_PLAIN = re.compile(r"[ !#-.0-[\]-~]+\Z")  # characters that every JSON writer leaves as they are


class Checkpoint(NamedTuple):
    """A moment that was kept. `t` and `w` as in Point; `parcel` names its files, when it has any."""

    step: int | None
    metrics: Mapping[str, Any]
    t: float
    w: float
    parcel: str | None = None


def read(repo: Repository, run_id: str) -> Record:
    """The run as of now. Raises RunNotFound, DamagedRecord, NewerFormat."""
    directory = live.folder(repo.paths, run_id)
    before = os.path.isdir(directory)  # asked before the ref is read: a run that is folded meanwhile is on its ref
    place = archives.find(repo, run_id)
    committed, place = _committed(repo, run_id, place)
    now = overlay.record(directory, committed) if before else None
    if before and now is None and (again := archives.find(repo, run_id)) != place and again:
        return at(repo, run_id, *again)
    found = now or committed
    if found is None:
        raise errors.RunNotFound(f"there is no run {run_id} here", "`git track ls` lists the runs of this repository")
    return found


def _committed(
    repo: Repository, run_id: str, place: archives.Place | None
) -> tuple[Record | None, archives.Place | None]:
    """The record there, and where it was read: it may go into an archive meanwhile, which lets its commits be removed,
    and come back. What stands in an archive stays there: of that, an error is one."""
    for _ in range(_TRIES - 1):
        try:
            return (at(repo, run_id, *place) if place else None), place
        except errors.DamagedRecord:
            if place is None or place.root != place.tip:
                raise
            place = archives.find(repo, run_id)
    return (at(repo, run_id, *place) if place else None), place


def at(repo: Repository, run_id: str, tip: str, root: str | None = None) -> Record:
    """The record as the commit `tip` has it; of an archived run read from `root`, its tree. This clone may know of an
    archive no more than its list: then it is fetched. Raises MissingContent, RemoteFailed when it cannot be."""
    if root is not None and root != tip and not repo.exists(root):
        lazy("gittrack.runs.fetching").record(repo, run_id, root)
    return documents.decode(run_id, tip, next(iter(repo.read_files([root or tip], documents.FILES))), root)


def series(repo: Repository, record: Record, metric: str, rank: int | str | None = None) -> list[Point]:
    """All points of a metric, in the record's order. See `points`."""
    return list(points(repo, record, metric, rank))


def points(repo: Repository, record: Record, metric: str, rank: int | str | None = None) -> Iterator[Point]:
    """The points of a metric: of one rank, of ALL, or (None) as the summary takes them: of rank 0 where it has any."""
    any_found = False
    for point in _every_point(repo, record, metric):
        if rank == ALL or point.rank == (rank or 0):
            any_found = True
            yield point
    if rank is None and not any_found:
        yield from _every_point(repo, record, metric)


def lines(repo: Repository, record: Record) -> Iterator[events.Metrics]:
    """Every metric line, decoded: for tables of all metrics at once."""
    for block in _blocks(repo, record, "metrics", _METRICS, None):
        for event in _parsed(block):
            values = _numbers(event.get("m"))
            found = events.metrics_of(event) if type(event.get("s")) is int else None
            if found is not None and values is not None:
                yield found._replace(values=values, step=_near(found.step))


def checkpoints(repo: Repository, record: Record) -> list[Checkpoint]:
    """All checkpoints, in order."""
    blocks = _blocks(repo, record, "checkpoints", _CHECKPOINT, None)
    found = (_checkpoint(event) for block in blocks for event in _parsed(block))
    return [one for one in found if one is not None]


def _checkpoint(event: Mapping[str, Any]) -> Checkpoint | None:
    """The checkpoint that a line says, or None where somebody has written what is none."""
    step, values, t, w = event.get("s"), _numbers(event.get("m") or {}), event.get("t") or 0.0, event.get("w") or 0.0
    sound = type(step) in (int, type(None)) and type(t) in (int, float) and type(w) in (int, float) and 0 <= w < 1e11
    return Checkpoint(step, values, t, w, parcels.parcel_of(event)) if sound and values is not None else None


def of_files(repo: Repository, record: Record) -> Iterator[tuple[dict[str, Any], bool]]:
    """The sound lines that say which files were kept, decoded; and of each, whether a commit has it."""
    source = _Source.open(repo, record)
    try:
        committed = segments.read(repo, source.root, "artifacts") if source.root else ()
        for blocks, has_commit in ((committed, True), (source.blocks(_OF_FILES), False)):
            for block in blocks:
                for event in events.parse_lines(block):
                    if events.is_sound(event):
                        yield event, has_commit
    finally:
        source.close()


def checkpoint(repo: Repository, record: Record, point: int | str) -> Checkpoint:
    """The checkpoint at a step, the `best` or the `latest` one. Raises RunNotFound, naming the steps that there are."""
    every = checkpoints(repo, record)
    step: Any = point
    if point == "latest" and every:
        return every[-1]
    if point == "best":
        step = ((record.summary.get("checkpoints") or {}).get("best") or {}).get("step", point)
    found = [one for one in every if one.step == step]
    if found:
        return found[-1]
    short = record.id[: layout.SHORT]
    if not every:
        raise errors.RunNotFound(f"run {short} has no checkpoints", "a run makes them with run.checkpoint(step=…)")
    if point == "best":
        raise errors.RunNotFound(
            f"run {short} has no best checkpoint: none of them has a primary metric",
            'name it when a checkpoint is made: run.checkpoint(…, primary_metric=("loss", "minimize"))',
        )
    steps = sorted({one.step for one in every if one.step is not None}, key=lambda one: abs(one - int(point)))[:5]
    nearest = ", ".join(map(str, sorted(steps)))
    raise errors.RunNotFound(f"run {short} has no checkpoint at step {point}", f"the nearest ones are at: {nearest}")


def console(repo: Repository, record: Record) -> Iterator[bytes]:
    """What the run printed, piece by piece."""
    source = _Source.open(repo, record)
    try:
        if source.root:
            yield from segments.read(repo, source.root, "console")
        for file in source.files:
            while source.is_console(file) and (data := file.read(PIECE)):
                yield data
    finally:
        source.close()


def environment(repo: Repository, record: Record) -> dict[str, bytes]:
    """The files of `environment/`: name -> content."""
    found: dict[str, bytes] = {}
    source = _Source.open(repo, record)
    try:
        for block in source.blocks(_ENVIRONMENT):
            for event in _parsed(block):
                name, value = str(event.get("name")).replace("/", "_"), event.get("value")
                data = codec.dumps(value) if name.endswith(".json") else str(value).encode(errors="replace")
                found.setdefault(name, data)
        if source.root:  # what is committed came first, and the first of a name stays
            found.update(segments.directory(repo, source.root, "environment"))
    finally:
        source.close()
    return found


class _Source:
    """Where the parts of a run are: the commit or its tree, and its journals opened where that commit ends.

    Open files outlive the folder, so a run that is folded while it is read is read to its end.
    """

    def __init__(self, root: str | None, files: list[BinaryIO]) -> None:
        self.root = root
        self.files = files

    @classmethod
    def open(cls, repo: Repository, record: Record) -> "_Source":
        directory = live.folder(repo.paths, record.id)
        files: list[BinaryIO] = []
        try:
            names = live.process_files(directory)
            ends = _ends(repo, directory, record.tip) if names else {}
            for name in [*names, events.CONSOLE] if names else []:
                path = os.path.join(directory, name)
                if name != events.CONSOLE or os.path.exists(path):
                    files.append(open(path, "rb"))  # noqa: SIM115 - closed by close()
                    files[-1].seek(ends.get(name, 0))
        except FileNotFoundError:  # folded since the record was read: now its ref says all
            names = []
        if not names:
            place = archives.find(repo, record.id) if _was_live(record) else None
            return cls(tree_of(repo, record.id, place.root if place else record.root), [])
        return cls(tree_of(repo, record.id, record.root), files)

    def blocks(self, sign: Sign, needle: bytes | None = None) -> Iterator[bytes]:
        """The lines of the journals that begin with `sign` and hold `needle`."""
        for file in self.files:
            if not self.is_console(file):
                for piece in _pieces(file):
                    yield _picked(piece, sign, needle)

    def is_console(self, file: BinaryIO) -> bool:
        return os.path.basename(file.name) == events.CONSOLE

    def close(self) -> None:
        for file in self.files:
            file.close()


def tree_of(repo: Repository, run_id: str, root: str | None) -> str | None:
    """The tree of a record, which stays readable when the run is archived while it is read; its commit may not."""
    with contextlib.suppress(KeyError, ValueError):  # what is damaged is found to be so where it is read
        kind, data = repo.read(root) if root else ("", b"")
        return objects.parse_commit(data).tree if kind == "commit" else root
    place = archives.find(repo, run_id)
    return place.root if place else root


def _was_live(record: Record) -> bool:
    return record.tip is None or record.status.get("status") not in ("completed", "failed", "killed", "crashed")


def _ends(repo: Repository, directory: str, tip: str | None) -> Mapping[str, int]:
    """Up to where each journal is covered by the commit `tip`."""
    if tip is None:
        return {}
    numbers = _CUT.findall(objects.parse_commit(repo.read(tip)[1]).message)
    cuts = live.read_cuts(directory)
    if not numbers or int(numbers[-1]) >= len(cuts):
        return {}
    return cuts[int(numbers[-1])].files


def _blocks(repo: Repository, record: Record, root: str, sign: bytes, needle: bytes | None) -> Iterator[bytes]:
    """Lines of a series, committed ones and then those that are only in the journals."""
    source = _Source.open(repo, record)
    try:
        if source.root:
            for segment in segments.read(repo, source.root, root):
                yield _picked(segment, sign, needle)
        yield from source.blocks(sign, needle)
    finally:
        source.close()


def _every_point(repo: Repository, record: Record, metric: str) -> Iterator[Point]:
    needle = f'"{metric}"'.encode() if _PLAIN.match(metric) else None
    for block in _blocks(repo, record, "metrics", _METRICS, needle):
        for event in _parsed(block):
            try:
                value, step = event["m"][metric], event["s"]
                value = codec.decode(value) if type(value) is dict else value
            except (KeyError, TypeError):  # a line without this metric, or one that somebody has written by hand
                continue
            if type(value) in _NUMBERS and type(step) is int:
                yield Point(_near(step), value, event.get("t", 0.0), event.get("w", 0.0), event.get("r", 0))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a journal in whole lines, without a torn one at its end."""
    rest = b""
    while data := file.read(PIECE):
        whole = events.whole_lines(rest + data)
        rest = (rest + data)[len(whole) :]
        if whole:
            yield whole


def _picked(data: bytes, sign: Sign, needle: bytes | None) -> bytes:
    if (
        sign == _METRICS
        and needle is None
        and data.count(b"\n" + _METRICS) + data.startswith(_METRICS) == data.count(b"\n")
    ):
        return data
    picked = (line for line in data.split(b"\n") if line.startswith(sign) and (needle is None or needle in line))
    return b"".join(line + b"\n" for line in picked)


def _parsed(block: bytes) -> Iterable[dict[str, Any]]:
    """The objects of whole lines, their `$` forms as they stand; in one parse where all lines are sound."""
    if not block:
        return []
    try:
        found: list[dict[str, Any]] = json.loads(b"[" + block[:-1].replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        return events.parse_lines(block)
    return found


def _near(step: int) -> int:
    return step if -_FURTHEST <= step <= _FURTHEST else max(-_FURTHEST, min(step, _FURTHEST))


def _numbers(values: Any) -> dict[str, Any] | None:
    """Metrics at one moment, decoded; None for what is something else."""
    try:
        found = codec.decode(values)
    except (KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) and _NUMBERS.issuperset(map(type, found.values())) else None
