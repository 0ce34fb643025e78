"""Files of other runs that a job is given (`--input RUN:PATH`): in its work tree, under the paths that they have there.

Which ones is decided when the run begins; the record says of each from which run it came. They travel as inputs do.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gittrack import errors
from gittrack.compare import files as kept
from gittrack.core import parcels
from gittrack.core.layout import is_id
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.launch.link.protocol import Link
from gittrack.launch.sending import placing
from gittrack.launch.sending.inputs import EXECUTABLE, FILE, File, Inputs, behind_links
from gittrack.launch.sending.snapshots import Code
from gittrack.record import resuming
from gittrack.runs import choosing, reader
from gittrack.runs.own_store import own_store

_LINK = "120000"


def find(paths: Paths, environ: Mapping[str, str], texts: Sequence[str]) -> list[dict[str, Any]]:
    """What job.json at home says of them. Raises UsageError, RunNotFound, and what reading a record raises."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.closing(open_repository(paths, environ)) as repo:
        for text in texts:
            one = _one(paths, environ, repo, text)
            if found.setdefault(one["path"], one) != one:
                raise errors.UsageError(f"--input {text}: {one['path']} is given twice", "leave one of them out")
    return list(found.values())


@contextlib.contextmanager
def joined(link: Link, code: Code, given: Sequence[Mapping[str, Any]], inputs: Inputs) -> Iterator[Inputs]:
    """The inputs and these, with the places where they are here. Raises UsageError, HostFailed, LinkLost,
    MissingContent, CorruptContent."""
    if not given:
        yield inputs
        return
    own = own_store(code.paths)
    files = {str(one["path"]): _file(one) for one in given}
    for path in behind_links(code, inputs.files, files):  # the other run may be a stranger's
        raise errors.UsageError(
            f"--input {files[path].run}:{path}: a link of the work tree is in the way", "put a folder in its place"
        )
    lacking, _ = placing.lacking(link, {file.value: file for file in files.values()})
    away = {file.value for file in lacking if not own.has(file.value, file.size)}
    with (
        tempfile.TemporaryDirectory(prefix="gittrack-") as folder,
        contextlib.closing(open_repository(code.paths, code.environ)) as repo,
    ):
        for one in given:
            file = files[one["path"]]
            if file.value in away:
                files[file.path] = file._replace(source=_copied(repo, one, os.path.join(folder, file.value)))
        yield inputs._replace(files=(*(file for file in inputs.files if file.path not in files), *files.values()))


def _one(paths: Paths, environ: Mapping[str, str], repo: Repository, text: str) -> dict[str, Any]:
    selector, colon, path = text.partition(":")
    if not colon or not selector or not path:
        raise errors.UsageError(f"--input {text}: no file of a run", "it is RUN:PATH, for example latest:model.pt")
    run, _, word = selector.partition("@")
    step = int(word) if is_id(run) and word.isdecimal() else None
    if not is_id(run) or (word and step is None):
        origin = resuming.find(paths, environ, selector)
        run, step = origin.run, origin.step if origin.is_chosen else None
    record = reader.read(repo, run)
    chosen = choosing.find(repo, record, path, step)
    if chosen is None:
        raise choosing.missing(repo, record, path, step)
    if chosen.mode == _LINK or not parcels.is_path(chosen.path):
        raise errors.UsageError(f"--input {text}: that is no file which a job could be given", "name another one")
    said = {"path": chosen.path, "mode": chosen.mode, "size": chosen.size, "sha256": chosen.sha256}
    return {**said, "run": run if step is None else f"{run}@{step}"}


def _file(one: Mapping[str, Any]) -> File:
    kind = EXECUTABLE if one["mode"] == "100755" else FILE
    return File(one["path"], kind, one["sha256"], one["size"], "", one["run"])


def _copied(repo: Repository, one: Mapping[str, Any], place: str) -> str:
    run, _, step = str(one["run"]).partition("@")
    record = reader.read(repo, run)
    chosen = choosing.find(repo, record, one["path"], int(step) if step else None)
    if chosen is None or chosen.sha256 != one["sha256"]:
        raise errors.MissingContent(f"{one['path']} of run {run} is not here any more", "start the job again")
    with kept.of(lambda: repo, record, [chosen])[0].open() as source, open(place, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return place
