"""The engine of a host that is reached by SSH, used by somebody who is not root there."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import rig_docker

from gittrack.errors import HostFailed, ImageFailed
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.launch.engine import images
from gittrack.launch.engine.containers import Mount
from gittrack.launch.engine.engine import Engine
from gittrack.launch.images import contexts, job_image
from gittrack.launch.images.job_image import Source, Wish
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import Link
from gittrack.launch.reached import At, Talk


def test_an_engine_across_ssh_does_all_that_one_here_does(
    ssh: Link, dockerd: rig_docker.Engine, slim_image: str
) -> None:
    with contextlib.closing(Engine.open(ssh, dockerd.command)) as engine:
        look = engine.look()
        uid, _ = look.user.split(":")
        assert uid != "0" and look.home != os.environ["HOME"]
        data = os.urandom(500_000)
        echo = "import os, sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); print(os.getuid(), file=sys.stderr)"
        done = engine.run(slim_image, ["python3", "-c", echo], [Mount(look.home, "/home")], data, look.user)
        assert (done.code, done.err.decode().strip()) == (0, uid)
        assert done.out == data


def test_an_image_is_built_across_ssh(
    ssh: Link, dockerd: rig_docker.Engine, slim_image: str, git: Callable[..., str], repo: Path
) -> None:
    (repo / "Dockerfile").write_text(f"FROM {slim_image}\nCOPY big /big\n")
    (repo / "big").write_bytes(os.urandom(3_000_000))
    git("add", "-A")
    git("commit", "-q", "-m", "More")
    at = At(Host("host", address="host", docker=dockerd.command), ssh, os.environ)
    source = Source(
        Git(discover(str(repo), os.environ), os.environ), git("rev-parse", "HEAD"), os.urandom(20).hex(), {}
    )
    recipe = job_image.recipe(at, source, Wish(build={"dockerfile": "Dockerfile"}))
    seen: list[tuple[str, int, int]] = []

    @contextlib.contextmanager
    def transfer(_what: str):  # type: ignore[no-untyped-def]
        yield lambda *progress: seen.append(progress)

    made = job_image.made(at.engine, recipe, source, Talk(transfer=transfer))
    try:
        assert made.names == (recipe.name,)
        assert [done for _, done, _ in seen][:2] == [1, 2]
    finally:
        dockerd.docker("rmi", "-f", recipe.name)


def test_who_may_not_use_the_engine_is_told_what_to_ask_for(ssh: Link, own_engine: rig_docker.Engine) -> None:
    os.chmod(own_engine.socket, 0o600)
    with pytest.raises(HostFailed) as caught:
        Engine.open(ssh, own_engine.command)
    assert caught.value.kind == "permission" and "usermod -aG docker" in caught.value.hint


def test_a_host_without_docker_or_with_an_engine_that_is_down_says_so(ssh: Link) -> None:
    for command, kind in (("no-such-docker", "no-docker"), ("docker --host unix:///nowhere/docker.sock", "daemon")):
        with pytest.raises(HostFailed) as caught:
            Engine.open(ssh, command)
        assert caught.value.kind == kind and caught.value.hint


def test_a_full_disk_at_the_host_is_said(ssh: Link, full_engine: rig_docker.Engine) -> None:
    with contextlib.closing(Engine.open(ssh, full_engine.command)) as engine:
        context = contexts.of_files("FROM scratch\nCOPY big /big\n", {"big": os.urandom(100_000_000)})
        asked = images.Building("gittrack/full:1", contexts.DOCKERFILE)
        with pytest.raises((HostFailed, ImageFailed)) as caught:
            images.build(engine, lambda: context, asked, lambda *_: None, lambda _text: None)
        assert "disk of host is full" in caught.value.message and "prune" in caught.value.hint
