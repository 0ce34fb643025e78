"""The checkpoint that a job goes on from, as `resume_checkpoint()` gives it in a container: docs/format.md §12.

There is no repository there. job.json says which checkpoint it is, and its files stand beside it, under their digests.
It can what `checkpoints.Checkpoint` can; it travels to hosts, and needs Python 3.9's standard library alone.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from gittrack.compare import loading
from gittrack.compare.weight_names import holds_weights
from gittrack.core import parcels
from gittrack.errors import CorruptContent, MissingContent, Refused, RunNotFound, UsageError, WouldOverwrite

JOB, FOLDER = "job.json", "checkpoint"
_PIECE = 1 << 20


class SentFile(NamedTuple):
    """A file of the checkpoint."""

    path: str
    mode: str
    size: int
    sha256: str
    source: str  # where its bytes are

    def open(self) -> BinaryIO:
        """For reading, compared with its SHA-256 before you get it. Raises MissingContent, CorruptContent."""
        try:
            file = open(self.source, "rb")  # noqa: SIM115
        except OSError as error:
            raise MissingContent(f"{self.path} cannot be read here: {error.strerror}", "start the job again") from error
        digest = hashlib.sha256()
        while data := file.read(_PIECE):
            digest.update(data)
        if digest.hexdigest() != self.sha256:
            file.close()
            raise CorruptContent(f"{self.path} was changed since it was sent", "start the job again")
        file.seek(0)
        return file

    def read(self) -> bytes:
        """All of it. Raises what `open` raises."""
        with self.open() as file:
            return file.read()

    def load(self, **options: Any) -> Any:
        """What it holds: by `torch.load(weights_only=True)` on the CPU, or `safetensors.torch.load`."""
        self.open().close()
        return loading.from_file(self.path, self.source, options)

    def checkout(self, directory: str | os.PathLike[str], force: bool = False) -> None:
        """Write it below `directory`, under its path. Raises WouldOverwrite unless `force`, and Refused."""
        _checkout([self], directory, force)


class Checkpoint:
    """A moment of a run that was kept. `t`: seconds since the run's start, `w`: since the epoch."""

    def __init__(self, said: Mapping[str, Any], folder: str) -> None:
        self.step: int | None = said["step"]
        self.metrics: Mapping[str, Any] = said["metrics"]
        self.t: float = said["t"]
        self.w: float = said["w"]
        self.files: list[SentFile] = [
            SentFile(str(one["path"]), one["mode"], one["size"], one["sha256"], os.path.join(folder, one["sha256"]))
            for one in said["files"]
        ]

    def open(self, path: str | None = None) -> BinaryIO:
        """A file of it, for reading; the only one when no path is given. Raises RunNotFound, MissingContent."""
        return self._file(path).open()

    def load(self, path: str | None = None, **options: Any) -> Any:
        """What a file of it holds; without a path, the first file whose name says that it has weights."""
        if path is None:
            named = next((one.path for one in self.files if holds_weights(one.path)), None)
            return self._file(named).load(**options)
        return self._file(path).load(**options)

    def checkout(self, directory: str | os.PathLike[str], force: bool = False) -> None:
        """Write its files below `directory`. Raises WouldOverwrite unless `force`, and Refused."""
        _checkout(self.files, directory, force)

    def _file(self, path: str | None) -> SentFile:
        found = [one for one in self.files if path is None or one.path == path]
        if len(found) == 1:
            return found[0]
        names = ", ".join(ascii(one.path) for one in self.files[:10]) or "none"
        if found:
            raise UsageError(f"{self!r} has {len(found)} files", f"name one of them: {names}")
        raise RunNotFound(f"{self!r} has no file {path or ''!r}", f"files that it has: {names}")

    def __repr__(self) -> str:
        return f"<checkpoint at step {self.step}: {len(self.files)} file{'s' * (len(self.files) != 1)}>"


def find(job: str, run_id: str, step: int | None) -> Checkpoint | None:
    """What was sent along with the job in the folder `job`. None: the run that is continued has no checkpoint.

    Raises RunNotFound when another one was sent, or none."""
    with open(os.path.join(job, JOB), encoding="utf-8") as file:
        resume = json.load(file).get("resume") or {}
    if resume.get("as") != (run_id if step is None else f"{run_id}@{step}"):
        hint = "name the run where the job is started: git track run -H HOST --resume RUN …"
        raise RunNotFound(f"no checkpoint of run {run_id} was sent to this host", hint)
    said = resume["checkpoint"]
    return Checkpoint(said, os.path.join(job, FOLDER)) if said is not None else None


def _checkout(files: Sequence[SentFile], directory: str | os.PathLike[str], force: bool) -> None:
    root = os.path.realpath(directory)
    places = [(one, os.path.join(root, one.path)) for one in files if parcels.is_path(one.path)]
    if not force:
        differing = [one.path for one, place in places if os.path.lexists(place) and not _is(one, place)]
        if differing:
            raise WouldOverwrite(f"{differing[0]} in {root} would be overwritten", "force=True overwrites")
    refused = [one.path for one in files if not parcels.is_path(one.path)]
    for one, place in places:
        if not _write(one, place, root):
            refused.append(one.path)
    if refused:
        raise Refused(f"{refused[0]!r} would lie outside of {root}", "open() gives its bytes")


def _is(one: SentFile, place: str) -> bool:
    if one.mode == parcels.LINK:
        return os.path.islink(place) and os.fsencode(os.readlink(place)) == one.read()
    return os.path.isfile(place) and not os.path.islink(place) and filecmp.cmp(one.source, place, shallow=False)


def _write(one: SentFile, place: str, root: str) -> bool:
    """Aside, and renamed. False where it would lie, or a link of it would lead, outside of `root`."""
    above = os.path.dirname(place)
    if not _inside(above, root):
        return False
    os.makedirs(above, exist_ok=True)
    if one.mode == parcels.LINK:
        target = os.fsdecode(one.read())
        if os.path.isabs(target) or not _inside(os.path.join(above, target), root):
            return False
        return _renamed(place, lambda new: os.symlink(target, new))

    def copy(new: str) -> None:
        with one.open() as source, open(new, "xb") as copied:
            shutil.copyfileobj(source, copied, _PIECE)
        os.chmod(new, 0o755 if one.mode == parcels.MODES[1] else 0o644)

    return _renamed(place, copy)


def _inside(path: str, root: str) -> bool:
    return os.path.commonpath([os.path.realpath(path), root]) == root


def _renamed(place: str, make: Callable[[str], None]) -> bool:
    with tempfile.TemporaryDirectory(dir=os.path.dirname(place), prefix=".gittrack-") as aside:
        new = os.path.join(aside, "new")
        make(new)
        os.replace(new, place)
    return True
