"""The checkpoint that a job goes on from: its files go to the host as inputs do, each once, and into the job's folder.

What `resume_checkpoint()` gives there is read by `compare.sent`. Which checkpoint that is, is decided when the run
begins: one that the other run makes later is not meant.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gittrack.compare import checkpoints
from gittrack.compare.files import File as Kept
from gittrack.git.discover import Paths
from gittrack.git.network import Progress
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.launch.link.protocol import Link
from gittrack.launch.sending import placing
from gittrack.launch.sending.inputs import FILE, File
from gittrack.launch.sending.snapshots import Code
from gittrack.record.resuming import Origin
from gittrack.runs.own_store import own_store

FOLDER = "checkpoint"


def find(paths: Paths, environ: Mapping[str, str], origin: Origin) -> dict[str, Any]:
    """What job.json says as `resume`. Raises RunNotFound and what reading a record raises."""
    with contextlib.closing(open_repository(paths, environ)) as repo:
        found = _chosen(repo, origin.run, origin.step if origin.is_chosen else None)
        if found is None:
            return {"as": origin.text(), "checkpoint": None}
        files = [
            {"path": one.path, "mode": one.mode, "size": one.size, "sha256": one.sha256}
            for one in {one.path: one for one in found.files}.values()
        ]
        said = {"step": found.step, "metrics": dict(found.metrics), "t": found.t, "w": found.w, "files": files}
        return {"as": origin.text(), "checkpoint": said}


def send(link: Link, code: Code, run_id: str, resume: Mapping[str, Any], show: Progress | None = None) -> None:
    """Have the files in the job's folder. Doing it again does what is missing.

    Raises HostFailed, LinkLost, and MissingContent, CorruptContent for what is not to be had here."""
    said = resume["checkpoint"]
    if not said or not said["files"]:
        return
    wanted = {one["sha256"]: File(one["sha256"], FILE, one["sha256"], one["size"], "") for one in said["files"]}
    lacking, _ = placing.lacking(link, wanted)
    with _had(code, resume, lacking) as files:
        placing.send(link, code, files, show)
    link.run(["mkdir", "-p", "--", f"{link.folder()}/jobs/{run_id}/{FOLDER}.new"])
    placing.put(link, run_id, [*wanted.values()], FOLDER)


@contextlib.contextmanager
def _had(code: Code, resume: Mapping[str, Any], wanted: Sequence[File]) -> Iterator[list[File]]:
    """The same files, with the places where they are here: the clone's own store, or copies for the time being."""
    store = own_store(code.paths)
    there = [one for one in wanted if store.has(one.value, one.size)]
    rest = {one.value: one for one in wanted if one not in there}
    if not rest:
        yield there
        return
    run, _, step = str(resume["as"]).partition("@")
    at = resume["checkpoint"]["step"]
    with (
        tempfile.TemporaryDirectory(prefix="gittrack-") as aside,
        contextlib.closing(open_repository(code.paths, code.environ)) as repo,
    ):
        found = _chosen(repo, run, int(step) if step else at)
        by_content: dict[str, Kept] = {one.sha256: one for one in (found.files if found else ())}
        yield [*there, *(_copied(by_content[name], one, aside) for name, one in rest.items())]


def _copied(kept: Kept, wanted: File, folder: str) -> File:
    place = os.path.join(folder, wanted.value)
    with kept.open() as source, open(place, "xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return wanted._replace(source=place)


def _chosen(repo: Repository, run_id: str, step: int | None) -> checkpoints.Checkpoint | None:
    return checkpoints.to_go_on_from(repo, run_id, step)
