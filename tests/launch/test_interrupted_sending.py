"""Ctrl-C while a job is being sent: nothing of it stays there, also where git is slow to end."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from sending_rig import without
from survival import World, until, world

from gittrack.errors import ImageFailed
from gittrack.launch.later import together
from gittrack.launch.link.protocol import Link

# Takes the code in, and is not done for a while.
SLOW_GIT = """#!/bin/sh
if [ "$1" = receive-pack ]
then /usr/bin/git "$@"; code=$?; touch received; sleep 3; exit $code
fi
exec /usr/bin/git "$@"
"""
IMAGE = "local/slow-git:1"


@pytest.fixture
def slow(
    repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:  # fmt: skip
    """A host that has no git but that of an image, which is slow. So code and image are not brought at once."""
    with monkeypatch.context() as local:
        without(("git",), site.ann.home / "bin", local)
    (site.ann.home / ".bashrc").write_text("PATH=$HOME/bin\n")
    (tmp_path / "git").write_text(SLOW_GIT)
    (tmp_path / "git").chmod(0o755)
    made = dockerd.docker("create", python_image, "true")
    dockerd.docker("cp", str(tmp_path / "git"), f"{made}:/usr/local/bin/git")
    dockerd.docker("commit", made, IMAGE)
    dockerd.docker("rm", made)
    with world(repo, sealed, site, dockerd, IMAGE) as begun:
        yield begun
    dockerd.docker("rmi", IMAGE, code=None)


def goes_on(world: World) -> bool:
    """Whether code is still taken in at the host."""
    return bool(world.engine.docker("ps", "-q", "--filter", f"volume={world.folder}"))


def test_ctrl_c_while_code_is_sent_leaves_nothing_that_goes_on(slow: World) -> None:
    sending = slow.begin("run", "-H", "gpu1", "python3", "train.py")
    until(lambda: [*slow.folder.glob("repos/*.git/received")])
    os.kill(sending.pid, signal.SIGINT)
    _, err = sending.communicate(timeout=120)
    assert sending.returncode == 130, err
    until(lambda: not goes_on(slow))
    assert slow.jobs() == [] and slow.rows() == []
    assert slow.starts() == []
    slow.go()
    slow.track("run", "-H", "gpu1", "python3", "train.py")


def test_what_is_done_beside_ends_with_an_interrupt_and_the_link_stays(ssh: Link) -> None:
    folder, heard = ssh.folder(), []

    def slow() -> None:
        channel = ssh.open(["sh", "-c", 'echo $$; sleep 600; mkdir "$1"', "sh", f"{folder}/late"])
        while data := channel.read(100):
            heard.append(data)
            begun.set()
        ssh.run(["mkdir", f"{folder}/after"])

    def interrupted() -> None:
        assert begun.wait(60)
        raise KeyboardInterrupt

    begun = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        together(slow, interrupted, halted=ssh.halted)
    pid = int(b"".join(heard))  # the host is this machine
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert [entry.name for entry in ssh.list(folder) or ()] == ["version"]
    assert ssh.run(["echo", "there"]).out == b"there\n"


def test_what_is_sent_for_an_image_that_there_is_not_ends_at_once(ssh: Link) -> None:
    folder, begun = ssh.folder(), threading.Event()

    def sends() -> None:
        with contextlib.closing(
            ssh.open(["sh", "-c", 'echo begun; sleep 60; mkdir "$1"', "sh", f"{folder}/late"])
        ) as it:
            assert it.read(100) == b"begun\n"
            begun.set()
            it.read(100)
            it.wait()

    def looks() -> None:
        begun.wait()
        raise ImageFailed("there is no such image", "")

    with pytest.raises(ImageFailed):
        together(looks, sends, halted=ssh.halted)
    assert ssh.list(f"{folder}/late") is None  # nobody has waited for it
