"""Processes that receive at a host are killed: what they leave goes with the next transfer, and nobody else's."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from sending_rig import code_of, fsck, objects_of, places, without
from survival import until

from gittrack.errors import HostFailed
from gittrack.launch.sending import inputs, placing, snapshots

FIRST, SECOND, THIRD = "1" * 20, "2" * 20, "3" * 20


class Pausing:
    """A link at which one process gets so many bytes, and then nothing until it may go on."""

    def __init__(self, link, after: int) -> None:
        self._link, self._after = link, after
        self.go = threading.Event()
        self.processes: list[int] = []  # groups

    def __getattr__(self, name):
        return getattr(self._link, name)

    def open(self, argv):
        channel = self._link.open(argv)
        self.processes.append(channel._process.pid)
        return _Paused(channel, self._after, self.go)


class _Paused:
    def __init__(self, channel, left: int, go: threading.Event) -> None:
        self._channel, self._left, self._go = channel, left, go

    def __getattr__(self, name):
        return getattr(self._channel, name)

    def write(self, data: bytes) -> None:
        if len(data) >= self._left:
            self._channel.write(data[: self._left])
            data = data[self._left :]
            assert self._go.wait(60)
        self._left -= len(data)
        self._channel.write(data)


class Sending(threading.Thread):
    def __init__(self, work) -> None:
        super().__init__(daemon=True)
        self.work, self.error, self.found = work, None, None
        self.start()

    def run(self) -> None:
        try:
            self.found = self.work()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error

    def over(self):
        self.join(60)
        assert not self.is_alive()
        return self


@pytest.fixture
def half_sent(repo, git, here):
    """Code of which half has come, and a way to have it come again."""
    (repo / "data.bin").write_bytes(os.urandom(2_000_000))
    git("add", ".")
    git("commit", "-q", "-m", "Large")
    code = code_of(repo)
    link = Pausing(here, 1_000_000)
    sending = Sending(lambda: snapshots.send_code(link, code, FIRST))
    until(lambda: sending.error or (os.path.isdir(f"{here.folder()}/repos/{code.project}.git")
          and objects_of(here, code.project)))  # fmt: skip
    assert sending.error is None
    yield code, link, sending
    link.go.set()
    sending.over()


def end(group: int, number: signal.Signals, name: str = "") -> None:
    argv = ["pkill", f"-{int(number)}", "-g", str(group), *(["-f", name] if name else [])]
    subprocess.run(argv, check=True)


def left_of(group: int) -> str:
    return subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("name", ["", "^git receive-pack", "index-pack|unpack-objects"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_is_killed_at_a_host_that_takes_in_code_leaves_nothing_for_ever(half_sent, here, number, name) -> None:
    code, link, sending = half_sent
    end(link.processes[0], number, name)
    link.go.set()
    assert isinstance(sending.over().error, HostFailed)
    until(lambda: not left_of(link.processes[0]))  # what is killed may still be at work here
    if number == signal.SIGTERM and not name:  # as when somebody presses Ctrl-C
        until(lambda: not objects_of(here, code.project))
    assert snapshots.send_code(here, code, SECOND).state == "placed"
    assert places(here) == []
    fsck(here, code.project)


def test_what_somebody_else_is_sending_stays(half_sent, repo, here) -> None:
    code, _link, sending = half_sent
    (repo / "train.py").write_text("print('another')\n")
    (repo / "data.bin").unlink()
    before = objects_of(here, code.project)
    assert snapshots.send_code(here, code_of(repo), SECOND).state == "placed"
    assert objects_of(here, code.project) == before != []
    _link.go.set()
    assert sending.over().found.state == "placed"
    assert places(here) == []


def test_where_nothing_can_be_locked_what_was_not_written_for_an_hour_goes(
    half_sent, repo, here, tmp_path, monkeypatch
) -> None:
    code, link, sending = half_sent
    end(link.processes[0], signal.SIGKILL)
    link.go.set()
    sending.over()
    without(("flock",), tmp_path / "bin", monkeypatch)
    (left,) = objects_of(here, code.project)
    assert snapshots.send_code(here, code, SECOND).state == "placed"
    assert objects_of(here, code.project) == [left]  # somebody may be at it
    long_ago = time.time() - 2 * 3600
    for path in [top := Path(here.folder(), "repos", f"{code.project}.git", "objects", left), *top.rglob("*")]:
        os.utime(path, (long_ago, long_ago))
    (repo / "train.py").write_text("print('another')\n")
    assert snapshots.send_code(here, code_of(repo), THIRD).state == "placed"
    assert places(here) == []


def test_inputs_that_were_coming_when_their_receiver_was_killed_go(repo, here) -> None:
    (repo / ".gitignore").write_text("data/\n")
    (repo / "data").mkdir()
    (repo / "data/a.bin").write_bytes(os.urandom(2_000_000))
    code = code_of(repo)
    wanted = inputs.find(code, ["data/"], ())
    snapshots.send_code(here, code, FIRST, whole=False)
    link = Pausing(here, 1_000_000)
    sending = Sending(lambda: placing.send(link, code, wanted.files))
    cache = Path(here.folder(), "cache")
    until(lambda: [*cache.glob("incoming.*/*")])
    end(link.processes[-1], signal.SIGKILL)
    link.go.set()
    assert sending.over().error is not None
    assert [*cache.glob("incoming.*")]
    assert placing.send(here, code, wanted.files) == 2_000_000
    assert [*cache.glob("incoming.*")] == []
