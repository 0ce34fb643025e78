"""Which files of a run are meant: by RUN, by RUN@STEP, by the path of one. One rule for all who ask.

RUN@STEP are the files of the checkpoint of that step; where no checkpoint has files there, those that were logged at
exactly that step. RUN are the latest files: of each path that was logged the last, and those of the latest checkpoint.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from gittrack import errors
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.git.repository import Repository
from gittrack.runs import artifacts, reader
from gittrack.runs.artifacts import CHECKPOINT, Artifact

LISTED = 8


def of_step(repo: Repository, record: Record, point: int | str) -> list[Artifact]:
    """The files of RUN@STEP; `point` may be `best` or `latest`. Raises RunNotFound when nothing was kept there."""
    step: Any = reader.checkpoint(repo, record, point).step if isinstance(point, str) else point
    every = artifacts.listed(repo, record)
    last = next((one.parcel for one in reversed(every) if one.kind == CHECKPOINT and one.step == step), None)
    found = [one for one in every if (one.parcel == last if last else one.step == step)]
    if not found:
        reader.checkpoint(repo, record, point)  # there may be one, without files
    return found


def latest(repo: Repository, record: Record) -> list[Artifact]:
    """The files of RUN, of those with one path the last."""
    every = artifacts.listed(repo, record)
    last = next((one.parcel for one in reversed(every) if one.kind == CHECKPOINT), None)
    return [*{one.path: one for one in every if one.kind != CHECKPOINT or one.parcel == last}.values()]


def find(repo: Repository, record: Record, path: str, step: int | None = None) -> Artifact | None:
    """The last file with this path; at a step that of the checkpoint, else the one that was logged at that step."""
    every = artifacts.artifacts(repo, record)
    named = [one for one in every if one.path == path and step in (None, one.step)]
    of_checkpoint = [one for one in named if one.kind == CHECKPOINT] if step is not None else []
    found = of_checkpoint or named
    return found[-1] if found else None


def missing(repo: Repository, record: Record, path: str, step: int | None = None) -> errors.GittrackError:
    """What to say when there is no such file."""
    short = record.id[: layout.SHORT]
    where = short if step is None else f"{short}@{step}"
    every = artifacts.listed(repo, record)
    steps = sorted({one.step for one in every if one.path == path and one.step is not None})
    if step is not None and steps:
        near = sorted(sorted(steps, key=lambda one: abs(one - step))[:LISTED])
        hint = f"it was kept at steps {some(map(str, near), len(steps))}"
        return errors.RunNotFound(f"{where} has no file {path!r}", hint)
    try:
        every = every if step is None else of_step(repo, record, step)
    except errors.RunNotFound as error:
        return error
    return nothing(where, path, [one.path for one in every])


def nothing(whose: str, path: str, paths: Iterable[str]) -> errors.GittrackError:
    """What to say when `path` is none of `paths`: it may be a folder, or mistyped."""
    names = list(dict.fromkeys(paths))
    below = [name for name in names if name.startswith(path.rstrip("/") + "/")]
    if below:
        what = f"{path!r} is a folder in {whose}, with {len(below)} file{'s' * (len(below) != 1)}"
        return errors.RunNotFound(what, f"name one of them: {some(below)}; `git track checkout` writes all of it")
    near = difflib.get_close_matches(path, names, n=3, cutoff=0.6)
    if near:
        hint = f"did you mean {' or '.join(near)}? `git track artifacts RUN` lists all {len(names)}"
    else:
        hint = f"files that it has: {some(names)}" if names else "`git track artifacts RUN` lists the files of a run"
    return errors.RunNotFound(f"{whose} has no file {path!r}", hint)


def some(names: Iterable[str], count: int | None = None) -> str:
    """The first ones, and how many more there are of `count` (all of them, when not given)."""
    given: Sequence[str] = list(names)
    shown = given[:LISTED]
    more = (len(given) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
