"""A checkpoint in Python: its step, its metrics, and its files, to be opened, loaded or written somewhere.

Files come from a record, and a record may come from anybody: nothing here ever unpickles code.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from gittrack.compare import files
from gittrack.compare.files import File, Files, Open
from gittrack.compare.text import cell
from gittrack.compare.weight_names import holds_weights
from gittrack.config import environment
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.errors import GittrackError, RunNotFound, UsageError
from gittrack.git.discover import discover
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import artifacts as kept
from gittrack.runs import choosing, live, reader


class Checkpoint:
    """A moment of a run that was kept. `t`: seconds since the run's start, `w`: since the epoch."""

    def __init__(self, repository: Open, record: Record, found: reader.Checkpoint) -> None:
        self.step: int | None = found.step
        self.metrics: Mapping[str, Any] = found.metrics
        self.t = found.t
        self.w = found.w
        self._repository = repository
        self._record = record
        self._parcel = found.parcel
        self._files: Files | None = None

    @property
    def files(self) -> Files:
        """Its files, each with `.path`, `.size`, `.sha256`, `.mode`, and `.open`, `.read`, `.load`, `.checkout`."""
        if self._files is None:
            every = kept.artifacts(self._repository(), self._record) if self._parcel else []
            found = [one for one in every if one.parcel == self._parcel]
            self._files = files.of(self._repository, self._record, found)
        return self._files

    def open(self, path: str | None = None) -> BinaryIO:
        """A file of it, for reading; the only one when no path is given. Raises RunNotFound, MissingContent."""
        return self._file(path).open()

    def load(self, path: str | None = None, **options: Any) -> Any:
        """What a file of it holds: by `torch.load(weights_only=True)` on the CPU, or `safetensors.torch.load`.

        Without a path, the first file with an ending of these formats. `options` go to torch.load. Code in a file is
        never run: a file that needs it raises Unsupported.
        """
        return (self._file(path) if path is not None else self._loadable()).load(**options)

    def checkout(self, directory: str | os.PathLike[str], force: bool = False) -> None:
        """Write its files below `directory`. Raises WouldOverwrite unless `force`; what is replaced can be undone.

        Raises Refused, after the others are written, for files whose paths lead out of the directory.
        """
        files.checkout(self._repository(), self._record, self.files, directory, force)

    def _file(self, path: str | None) -> File:
        found = [one for one in self.files if path is None or one.path == path]
        if len(found) == 1 or (found and path is not None):
            return found[-1]
        names = [one.path for one in self.files]
        if path is None and found:
            raise UsageError(f"{self!r} has {len(found)} files", f"name one of them: {choosing.some(names)}")
        if path is not None and names:
            raise choosing.nothing(repr(self), path, names)
        what = f"no file {path!r}" if path is not None else "no files"
        how = "run.checkpoint(path=…) or run.checkpoint(state=…) keeps files with it"
        raise RunNotFound(f"{self!r} has {what}", how)

    def _loadable(self) -> File:
        for one in self.files:
            if holds_weights(one.path):
                return one
        return self._file(None)

    def __repr__(self) -> str:
        values = ", ".join(f"{cell(name)} {cell(value)}" for name, value in list(self.metrics.items())[:3])
        files = "" if self._files is None else f", {len(self._files)} file{'s' * (len(self._files) != 1)}"
        what = f"checkpoint of {self._record.id[: layout.SHORT]} at step {self.step}"
        return f"<{what}{': ' if values else ''}{values}{files}>"


class Checkpoints(list[Checkpoint]):
    """The checkpoints of a run, in order."""

    def latest(self) -> Checkpoint:
        """The last one. Raises RunNotFound when there is none."""
        if not self:
            raise RunNotFound("the run has no checkpoints", "a run makes them with run.checkpoint(step=…)")
        return self[-1]

    def at(self, step: int) -> Checkpoint:
        """The one of that step, the last of several. Raises RunNotFound."""
        found = [one for one in self if one.step == step]
        if not found:
            steps = ", ".join(str(one.step) for one in self[-10:]) or "none"
            raise RunNotFound(f"the run has no checkpoint at step {step}", f"there are, among the last: {steps}")
        return found[-1]

    def best(self, metric: str, goal: str) -> Checkpoint:
        """The one with the best value of `metric`, of equals the first. Raises RunNotFound."""
        sign = 1 if goal == "minimize" else -1
        values = [(sign * value, one) for one in self if (value := _number(one.metrics.get(metric))) is not None]
        if not values:
            known = ", ".join(sorted({name for one in self for name in one.metrics})[:10]) or "none"
            raise RunNotFound(f"no checkpoint of the run has a value of {metric!r}", f"metrics that they have: {known}")
        return min(values, key=lambda pair: pair[0])[1]

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "no checkpoints"


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and value == value else None


def of_run(repository: Open, record: Record) -> Checkpoints:
    """All checkpoints of a run."""
    return Checkpoints(Checkpoint(repository, record, one) for one in reader.checkpoints(repository(), record))


def last_of(repo_dir: str, run_id: str) -> Checkpoint | None:
    """The checkpoint from which a run can be continued: the last one that has files, else the last one.

    A run that has died is closed first, so that what its processes had handed over is there. Raises RunNotFound for an
    unknown run.
    """
    paths = discover(repo_dir, environment.current())
    return to_go_on_from(lazy("gittrack.git.open").open_repository(paths, environment.current()), run_id)


def to_go_on_from(repo: Repository, run_id: str, step: int | None = None) -> Checkpoint | None:
    """The same, or the checkpoint at `step`. Raises RunNotFound, also where there is none at that step."""
    if run_id in live.over(repo.paths):
        with contextlib.suppress(GittrackError, OSError):  # where it cannot be written, its journals are read
            lazy("gittrack.runs.folding").fold_dead(repo, time.time())
    found = of_run(lambda: repo, reader.read(repo, run_id))
    if step is not None:
        return found.at(step)
    return next((one for one in reversed(found) if one.files), found[-1] if found else None)


def open_last(repo: Repository, record: Record, path: str, step: int | None = None) -> BinaryIO:
    """The last file of a run that has this path, or that of a step: see `choosing`. Raises RunNotFound."""
    found = choosing.find(repo, record, path, step)
    if found is None:
        raise choosing.missing(repo, record, path, step)
    return files.File(lambda: repo, record, found).open()
