"""Files of inputs and of git-lfs, from here into the work tree of a job: each travels once to each host.

Many small files go as one stream, in batches: what has arrived before a cut stays. The work tree gets its name when all
is in it.
"""

import contextlib
import os
import tarfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from gittrack import errors
from gittrack.git.network import Progress
from gittrack.launch.link import shelling
from gittrack.launch.link.batches import batches
from gittrack.launch.link.protocol import Channel, Link
from gittrack.launch.link.words import shown
from gittrack.launch.sending import file_scripts, snapshots
from gittrack.launch.sending.inputs import EXECUTABLE, FILE, File, Inputs
from gittrack.launch.sending.snapshots import NO_HELP, Code, Helper, Sent
from gittrack.runs.own_store import own_store

BATCH_BYTES = 256_000_000
BATCH_FILES = 5000


def bring(
    link: Link, code: Code, run_id: str, inputs: Inputs, helper: Helper = NO_HELP, show: Progress | None = None
) -> Sent:
    """The whole work tree of a job: its snapshot and its inputs. Doing it again does what is missing.

    Raises HostFailed, LinkLost, and UsageError for an input that changes meanwhile.
    """
    whole = not inputs.files
    sent = snapshots.send_code(link, code, run_id, whole, helper, show)
    if not sent.by:
        sent = snapshots.send_files(link, code, run_id, whole, show)
    if sent.state == "open":
        files = [file for file in inputs.files if file.kind in (FILE, EXECUTABLE)]
        moved = send(link, code, files, show)
        put(link, run_id, inputs.files)
        sent = sent._replace(size=sent.size + moved, state="placed")
    return sent


def send(link: Link, code: Code, files: Sequence[File], show: Progress | None = None) -> int:
    """Have the host keep these, as far as it does not; how many bytes had to travel. Raises as `bring`."""
    wanted = {file.value: file for file in files}
    if not wanted:
        return 0
    todo, free = lacking(link, wanted)
    total = sum(file.size for file in todo)
    if free is not None and free < total:
        raise snapshots.full(link, total, free)
    done = 0
    for batch in batches(todo, BATCH_FILES, BATCH_BYTES):
        _send_batch(link, code, batch, show, done, total)
        done += sum(file.size for file in batch)
    return total


def lacking(link: Link, wanted: Mapping[str, File]) -> tuple[list[File], int | None]:
    """(what is not there, bytes that are free there). `wanted` by SHA-256. Raises HostFailed, LinkLost."""
    asked = "".join(f"{digest}\n" for digest in wanted).encode()
    done = link.run(shelling.script(file_scripts.LACKING, link.folder()), asked)
    said = done.out.decode("ascii", "replace").split("\n")
    free = next((snapshots.kilobytes(line.split()[2:]) for line in said if line.startswith("gittrack free")), None)
    if "gittrack all" not in said:
        raise errors.HostFailed(
            f"{link.name}: the host does not say which files it has", "run the command again", "code"
        )
    sizes = {path.rpartition("/")[2]: size for size, _, path in (line.partition(" ") for line in said)}
    return [file for digest, file in wanted.items() if sizes.get(digest) != str(file.size)], free


def _send_batch(link: Link, code: Code, batch: Sequence[File], show: Progress | None, before: int, total: int) -> None:
    channel = link.open(shelling.script(file_scripts.STORE, link.folder()))
    with contextlib.closing(channel):
        with contextlib.suppress(BrokenPipeError):  # what it says explains more
            _tar(code, batch, channel, show, before, total)
            channel.end_input()
        said = _heard(channel)
        if "gittrack kept" in said and not any(line.startswith("gittrack damaged") for line in said):
            return
        _raise(link, channel, batch, said)


def _tar(code: Code, batch: Sequence[File], channel: Channel, show: Progress | None, before: int, total: int) -> None:
    counted = snapshots.Counted(channel, "Sending inputs", before, total, show)
    with tarfile.open(fileobj=counted, mode="w", format=tarfile.USTAR_FORMAT) as tar:  # type: ignore[call-overload]
        for file in batch:
            info = tarfile.TarInfo(file.value)
            info.size, info.mode = file.size, 0o600
            try:
                with _opened(code, file) as source:
                    tar.addfile(info, source)
            except OSError as error:
                if isinstance(error, BrokenPipeError):
                    raise
                raise _changed(file) from error
    counted.flush()


def _opened(code: Code, file: File) -> BinaryIO:
    if not file.source:
        return own_store(code.paths).open(file.value, file.size)
    return open(file.source, "rb")


def _heard(channel: Channel) -> list[str]:
    out = b""
    while (data := channel.read(65536)) and len(out) < 10_000_000:
        out += data
    return out.decode("ascii", "replace").splitlines()


def _raise(link: Link, channel: Channel, batch: Sequence[File], said: Sequence[str]) -> None:
    damaged = {line.split()[2] for line in said if line.startswith("gittrack damaged ")}
    for file in batch:
        if file.value in damaged:
            raise _changed(file)
    code, words = channel.wait(), shown(channel.said())
    left = next((snapshots.kilobytes(line.split()[3:]) for line in said if line.startswith("gittrack failed")), None)
    if "No space left" in words or "quota" in words or (left is not None and left < snapshots.NEARLY_FULL):
        raise snapshots.full(link, sum(file.size for file in batch), left)
    raise errors.HostFailed(f"{link.name}: files cannot be sent: {words or f'exit code {code}'}", "", "code")


def _changed(file: File) -> errors.UsageError:
    return errors.UsageError(
        f"inputs: {file.path} changed while it was sent, or cannot be read any more",
        "nothing wrong is kept at the host; run the command again when nobody writes it",
    )


def put(link: Link, run_id: str, files: Sequence[File], folder: str = "work") -> None:
    """Put what the host has into `folder` of a job, which is there when it is whole. Raises HostFailed, LinkLost."""
    fields = b"".join(
        b"\0".join((file.kind.encode(), os.fsencode(file.value), os.fsencode(file.path), b"")) for file in files
    )
    values = (file_scripts.PUT_BY_PYTHON, link.folder(), run_id, folder)
    done = link.run(shelling.script(file_scripts.PUT, *values), fields, check=False)
    said = done.out.decode("ascii", "replace").splitlines()
    if "gittrack placed" in said:
        return
    words = shown(done.err)
    left = next((snapshots.kilobytes(line.split()[3:]) for line in said if line.startswith("gittrack failed")), None)
    if "No space left" in words or (left is not None and left < snapshots.NEARLY_FULL):
        raise snapshots.full(link, sum(file.size for file in files), left)
    raise errors.HostFailed(f"{link.name}: files cannot be put into {folder} of the job: {words}", "", "place")
