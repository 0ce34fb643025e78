"""Which files with weights, of two runs, are to be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gittrack.compare.text import line
from gittrack.compare.weight_names import holds_weights
from gittrack.core.model import Record
from gittrack.errors import RunNotFound, UsageError
from gittrack.git.repository import Repository
from gittrack.runs import artifacts, choosing
from gittrack.runs.artifacts import Artifact


class Side(NamedTuple):
    """A run, or a checkpoint of it; `path` when it was named."""

    record: Record
    step: int | None = None
    path: str | None = None


def chosen(repo: Repository, first: Side, second: Side) -> tuple[Artifact, Artifact]:
    """The files to compare. Raises RunNotFound, UsageError."""
    before, after = (_named(repo, side) if side.path is not None else _of(repo, side) for side in (first, second))
    if first.path is not None and second.path is None:
        after = [one for one in after if one.path == first.path] or after
    if second.path is not None and first.path is None:
        before = [one for one in before if one.path == second.path] or before
    return (before[0], after[0]) if len(before) == len(after) == 1 else pair(before, after)


def _named(repo: Repository, side: Side) -> list[Artifact]:
    path = side.path or ""
    found = choosing.find(repo, side.record, path, side.step)
    if found is None:
        raise choosing.missing(repo, side.record, path, side.step)
    return [found]


def _of(repo: Repository, side: Side) -> list[Artifact]:
    """Of a run alone, the files of its latest checkpoint that holds weights; else the latest files."""
    if side.step is not None:
        return choosing.of_step(repo, side.record, side.step)
    every = artifacts.listed(repo, side.record)
    weights = [one for one in every if one.kind == artifacts.CHECKPOINT and holds_weights(one.path)]
    if not weights:
        return _latest(repo, side.record)
    return [one for one in every if one.parcel == weights[-1].parcel]


def _latest(repo: Repository, record: Record) -> list[Artifact]:
    """What was kept last, if it holds weights, is meant."""
    found = choosing.latest(repo, record)
    weights = [one for one in found if holds_weights(one.path)]
    return sorted(weights, key=lambda one: one.w)[-1:] or found


def pair(first: Sequence[Artifact], second: Sequence[Artifact]) -> tuple[Artifact, Artifact]:
    """The file of the same name in both. Raises RunNotFound, UsageError."""
    before, after = _by_path(first), _by_path(second)
    common = [path for path in before if path in after]
    likely = [path for path in common if holds_weights(path)] or common
    if len(likely) == 1:
        return before[likely[0]], after[likely[0]]
    if likely:
        raise UsageError(
            f"both have several files: {_listed(likely)}",
            "name one: git track diff A B --weights -- FILE; or one of each: git track diff A:FILE B:FILE --weights",
        )
    alone = [[one for path, one in files.items() if holds_weights(path)] for files in (before, after)]
    if len(alone[0]) == len(alone[1]) == 1:
        return alone[0][0], alone[1][0]
    raise RunNotFound(
        f"no file is in both: the first has {_listed(before)}, the second {_listed(after)}",
        "name one of each: git track diff A:FILE B:FILE --weights; `git track artifacts RUN` lists files",
    )


def _by_path(files: Sequence[Artifact]) -> Mapping[str, Artifact]:
    return {one.path: one for one in files if one.mode != "120000"}


def _listed(files: Sequence[str] | Mapping[str, Artifact]) -> str:
    return choosing.some(map(line, files)) or "none"
