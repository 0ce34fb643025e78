"""What the tests of sending have in common: snapshots of a clone, hosts that are cut off, and what is there."""

import contextlib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from gittrack.errors import LinkLost
from gittrack.git import snapshot as taking
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.launch.sending import snapshots


def snapshot(repo: Path):
    """The snapshot of a work tree, held by its ref, as a run has it."""
    git = Git(discover(str(repo), os.environ), os.environ)
    taken = taking.take(git, taking.plan(git, taking.Policy(max_file=50_000_000)))
    git.run("update-ref", f"refs/track/code/{taken.oid[-2:]}/{taken.oid}", taken.oid)
    return taken


def code_of(repo: Path) -> snapshots.Code:
    paths, environ = discover(str(repo), os.environ), dict(os.environ)
    return snapshots.Code(paths, environ, snapshot(repo).oid, snapshots.project(Git(paths, environ)))


def job(link, run_id: str) -> str:
    return f"{link.folder()}/jobs/{run_id}"


def repository(link, project: str) -> str:
    return f"{link.folder()}/repos/{project}.git"


def fsck(link, project: str) -> None:
    """What is there is whole, as git says."""
    done = subprocess.run(
        ["git", "-C", repository(link, project), "fsck", "--full", "--connectivity-only", "--no-dangling"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def objects_of(link, project: str) -> list[str]:
    """What a transfer that was cut has left among the objects."""
    return [name for name in os.listdir(repository(link, project) + "/objects") if "incoming" in name]


def places(link) -> list[str]:
    """Repositories that were begun and never finished, and objects that never arrived."""
    repos = f"{link.folder()}/repos"
    begun = [name for name in os.listdir(repos) if name.startswith("new.")]
    return begun + [each for name in os.listdir(repos) for each in objects_of(link, name.removesuffix(".git"))]


def pack_size(repo: Path, new: str, old: str) -> int:
    """Bytes of the pack that git makes of the change from `old` to `new`, were they one after the other."""
    change = ["git", "-C", str(repo), "commit-tree", "-p", old, "-m", "Snapshot of the work tree", f"{new}^{{tree}}"]
    commit = subprocess.check_output(change, text=True).strip()
    argv = ["git", "-C", str(repo), "pack-objects", "-q", "--revs", "--thin", "--delta-base-offset", "--stdout"]
    return len(subprocess.run(argv, input=f"{commit}\n^{old}\n".encode(), capture_output=True, check=True).stdout)


class Breaking:
    """A link whose connection is lost after so many bytes have gone to one process."""

    def __init__(self, link, after: int) -> None:
        self._link = link
        self._left = after

    def __getattr__(self, name):
        return getattr(self._link, name)

    def open(self, argv):
        return _Broken(self._link.open(argv), self._left)


class _Broken:
    def __init__(self, channel, left: int) -> None:
        self._channel = channel
        self._left = left

    def __getattr__(self, name):
        return getattr(self._channel, name)

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._channel.write(data[: self._left])
        if len(data) >= self._left:
            self._channel.end_input()  # as sshd does it: the process reads an end, and its output goes nowhere
            while self._channel.read(65536):
                pass
            self._channel.wait()
            raise LinkLost("the connection broke")
        self._left -= len(data)


@contextlib.contextmanager
def disk(path: Path, size: str):
    """A file system of this size; where none may be mounted, the test cannot run."""
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], check=False)
    if done.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def without(names: tuple[str, ...], folder: Path, monkeypatch) -> None:
    """A PATH with all programs but these."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if name not in names and not os.path.lexists(folder / name):
                (folder / name).symlink_to(os.path.join(place, name))
    monkeypatch.setenv("PATH", str(folder))


def send_all(link, codes):
    """Send each code as a job of its own, the number its id, all at once."""
    problems: list[BaseException] = []

    def send(number: int) -> None:
        try:
            assert snapshots.send_code(link, codes[number], f"{number:020x}").state == "placed"
        except BaseException as error:  # noqa: BLE001 - asserted below
            problems.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(codes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
