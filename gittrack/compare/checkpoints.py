"""A checkpoint in Python: its step, its metrics, and its files, to be opened, loaded or written somewhere.

Files come from a record, and a record may come from anybody: nothing here ever unpickles code.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from gittrack.compare.text import cell
from gittrack.compare.weight_files import holds_weights
from gittrack.config import environment
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.errors import GittrackError, RunNotFound, UsageError
from gittrack.git.discover import discover
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import artifacts as kept
from gittrack.runs import live, reader
from gittrack.runs.artifacts import Artifact
from gittrack.store.content import Content

Open = Callable[[], Repository]

IN_MEMORY = 256 * 1024 * 1024  # bytes of a file up to which it is loaded from memory


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
        self._files: list[Artifact] | None = None

    @property
    def files(self) -> list[Artifact]:
        """Its files, each with `.path`, `.size`, `.sha256`, `.mode`."""
        if self._files is None:
            every = kept.artifacts(self._repository(), self._record) if self._parcel else []
            self._files = [one for one in every if one.parcel == self._parcel]
        return self._files

    def open(self, path: str | None = None) -> BinaryIO:
        """A file of it, for reading; the only one when no path is given. Raises RunNotFound, MissingContent."""
        return self._source().open(self._file(path))

    def load(self, path: str | None = None, **options: Any) -> Any:
        """What a file of it holds: by `torch.load(weights_only=True)` on the CPU, or `safetensors.torch.load`.

        Without a path, the first file with an ending of these formats. `options` go to torch.load. Code in a file is
        never run: a file that needs it raises Unsupported.
        """
        file = self._file(path) if path is not None else self._loadable()
        source = self._source()
        door = lazy("gittrack.compare.loading")
        if file.size <= IN_MEMORY:
            return door.from_bytes(file.path, source.read(file), options)
        with tempfile.TemporaryDirectory(prefix="gittrack-") as folder:
            name = os.path.join(folder, "file")
            source.copy_to(file, name)
            return door.from_file(file.path, name, options)

    def checkout(self, directory: str | os.PathLike[str], force: bool = False) -> None:
        """Write its files below `directory`. Raises WouldOverwrite unless `force`; what is replaced can be undone.

        Raises Refused, after the others are written, for files whose paths lead out of the directory.
        """
        work = lazy("gittrack.runs.checkout")
        repo = self._repository()
        wish = work.Wish(code=False, directory=os.fspath(directory), files=tuple(self.files), contents=contents(repo))
        found = work.prepare(repo, self._record, wish)
        command = f"Checkpoint.checkout({os.fspath(directory)!r})"
        work.restore(repo, self._record, found, command, "", force, lambda _: None)
        left = work.refused(found)
        if left is not None:
            raise left

    def _source(self) -> kept.Source:
        return kept.source(self._repository(), self._record, contents(self._repository()))

    def _file(self, path: str | None) -> Artifact:
        found = [one for one in self.files if path is None or one.path == path]
        if len(found) == 1 or (found and path is not None):
            return found[-1]
        names = ", ".join(one.path for one in self.files[:10])
        if path is None and found:
            raise UsageError(f"{self!r} has {len(found)} files", f"name one of them: {names}")
        what = f"no file {path!r}" if path is not None else "no files"
        hint = f"it has: {names}" if names else "run.checkpoint(path=…) or run.checkpoint(state=…) keeps files with it"
        raise RunNotFound(f"{self!r} has {what}", hint)

    def _loadable(self) -> Artifact:
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
    repo: Repository = lazy("gittrack.git.open").open_repository(paths, environment.current())
    if run_id in live.over(paths):
        with contextlib.suppress(GittrackError, OSError):  # where it cannot be written, its journals are read
            lazy("gittrack.runs.folding").fold_dead(repo, time.time())
    found = of_run(lambda: repo, reader.read(repo, run_id))
    return next((one for one in reversed(found) if one.files), found[-1] if found else None)


def open_last(repo: Repository, record: Record, path: str) -> BinaryIO:
    """The last file of a run that has this path. Raises RunNotFound."""
    every = kept.artifacts(repo, record)
    found = next((one for one in reversed(every) if one.path == path), None)
    if found is None:
        names = ", ".join(dict.fromkeys(one.path for one in every[-10:])) or "none"
        raise RunNotFound(f"run {record.id[: layout.SHORT]} has no file {path!r}", f"files that it has: {names}")
    return kept.source(repo, record, contents(repo)).open(found)


def contents(repo: Repository) -> Sequence[Content]:
    """Where files come from that are not in this clone."""
    config = lazy("gittrack.git.command").config(repo.git)
    settings = lazy("gittrack.config.settings").load(repo.paths, environment.current(), config)
    found: list[Content] = lazy("gittrack.runs.stores").contents(repo, settings)
    return found
