"""Sharing runs through a bare repository, by file:// and by an sshd on this machine, against git alone."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import population
from benchmarks.harness import Failed, Line, in_turns, process
from benchmarks.scene import Scene
from gittrack.git.discover import discover
from gittrack.runs import writer

NEW = 1_000
SHARED = 10_000
_SSHD = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
ListenAddress 127.0.0.1
Port {port}
AcceptEnv GIT_PROTOCOL
SetEnv PATH={path}
"""


class Road(NamedTuple):
    """A way to a repository in `scene.root`."""

    name: str
    prefix: str
    scene: Scene


def measure_push(scene: Scene) -> Iterator[Line]:
    """A first push of many runs: git sends the same refs in one pack, and nothing else."""
    template = _with_runs(scene, "push-template", NEW)
    with _roads(scene) as roads:
        for road in roads:
            floor, ours = in_turns(
                5,
                lambda road=road: _pushed(road, template, ["git", "push", "-q", "origin", "refs/track/*:refs/track/*"]),
                lambda road=road: _pushed(road, template, ["git", "track", "push", "--yes"]),
            )
            work = f"`git track push` of {NEW:,} new runs without artifacts, {road.name}"
            yield Line(f"push/{road.name}", work, "`git push` of the same refs", floor, ours, "s", 1.5)
    shutil.rmtree(template)


def measure_pull(scene: Scene) -> Iterator[Line]:
    """A pull when nothing is new: one connection, against git asking for one branch."""
    author = _with_runs(scene, "pull-author", SHARED)
    bare = _bare(scene, "pull-bare", author)
    scene.git(author, "remote", "add", "origin", bare)
    process(["git", "track", "push", "--yes"], author, scene.env)
    with _roads(scene) as roads:
        for road in roads:
            clone = _clone(road, "pull-bare", "pull-clone")
            process(["git", "track", "pull"], clone, road.scene.env)
            _runs_of(road.scene, clone, SHARED)
            floor, ours = in_turns(
                15,
                lambda road=road, at=clone: process(["git", "fetch", "-q", "origin", "main"], at, road.scene.env).wall,
                lambda road=road, at=clone: process(["git", "track", "pull"], at, road.scene.env).wall,
            )
            work = f"`git track pull` when nothing is new, {SHARED:,} runs shared, {road.name}"
            least, took = (type(each)(tuple(value * 1e3 for value in each.values)) for each in (floor, ours))
            yield Line(f"pull/{road.name}", work, "`git fetch` of one branch", least, took, "ms", 2.0)


def _pushed(road: Road, template: str, argv: list[str]) -> float:
    """Seconds of a push from a copy of `template` to a server that has its branch only."""
    scene = road.scene
    _bare(scene, "push-bare", template)
    copy = os.path.join(scene.root, "push-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(template, copy, symlinks=True)
    writer.renew(discover(copy, scene.env), population.WRITER)
    scene.git(copy, "remote", "add", "origin", road.prefix + "push-bare")
    took = process(argv, copy, scene.env).wall
    if not scene.git(copy, "ls-remote", "origin", "refs/track/*"):
        raise Failed("nothing was pushed")
    return took


def _with_runs(scene: Scene, name: str, count: int) -> str:
    repo = scene.repository(name)
    population.populate(repo, scene.env, scene.git(repo, "rev-parse", "HEAD").decode().strip(), count)
    writer.renew(discover(repo, scene.env), population.WRITER)
    return repo


def _bare(scene: Scene, name: str, of: str) -> str:
    """A bare repository with the branch of another one."""
    path = scene.folder(name)
    scene.git(path, "init", "-q", "--bare", "-b", "main")
    scene.git(of, "push", "-q", path, "HEAD:refs/heads/main")
    return path


def _clone(road: Road, bare: str, name: str) -> str:
    path = road.scene.folder(name)
    road.scene.git(path, "clone", "-q", road.prefix + bare, ".")
    return path


def _runs_of(scene: Scene, repo: str, count: int) -> None:
    found = process(["git", "track", "ls", "--quiet"], repo, scene.env).output.count(b"\n")
    if found != count:
        raise Failed(f"{found} runs arrived, not {count}")


@contextlib.contextmanager
def _roads(scene: Scene) -> Iterator[list[Road]]:
    """By file://, and by ssh where there is an sshd."""
    roads = [Road("file://", f"file://{scene.root}/", scene)]
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not os.path.exists(sshd):
        yield roads
        return
    folder = scene.folder("sshd")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = os.path.join(folder, "config")
    with open(config, "w") as file:
        file.write(_SSHD.format(folder=folder, port=port, path=scene.env["PATH"]))
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # where Debian's sshd locks its unprivileged half in
    options = "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    command = f"ssh {options} -o IdentitiesOnly=yes -i {folder}/user"
    prefix = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{scene.root}/"
    with subprocess.Popen([sshd, "-f", config, "-D", "-e"], stderr=subprocess.DEVNULL) as served:
        try:
            _wait_for(port)
            yield [*roads, Road("ssh", prefix, scene._replace(env={**scene.env, "GIT_SSH_COMMAND": command}))]
        finally:
            served.terminate()


def _wait_for(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise Failed("sshd did not start")
