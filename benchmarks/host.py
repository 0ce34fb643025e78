"""A host for jobs: the SSH server and the Docker engine of the tests, which are real ones and need root."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Failed
from benchmarks.scene import HERE, Scene, write
from gittrack.lazy import lazy

_RIGS = [os.path.join(os.path.dirname(HERE), "tests", folder) for folder in ("launch", "processes")]


class Place(NamedTuple):
    """The host, which `ssh -F … host` reaches; ours calls it gpu1."""

    scene: Scene
    docker: str  # the command that speaks to its engine
    image: str
    ssh: Sequence[str]  # without the name of the host
    home: str  # of the user there

    def there(self, command: str, given: bytes = b"") -> bytes:
        """Run a command line at the host. Raises CalledProcessError."""
        argv = [*self.ssh, "host", command]
        return subprocess.run(argv, env=self.scene.env, input=given, check=True, capture_output=True).stdout

    def project(self, name: str) -> str:
        """A repository whose jobs go to gpu1."""
        repo = self.scene.repository(name)
        text = f"hosts:\n  gpu1:\n    host: host\n    docker: {self.docker}\n    image: {self.image}\n"
        write(os.path.join(repo, "gittrack.yaml"), text)
        return repo


@contextlib.contextmanager
def opened(scene: Scene) -> Iterator[Place]:
    """Raises Failed where there can be none."""
    sys.path[:0] = [each for each in _RIGS if each not in sys.path]
    rig_ssh, rig_docker = lazy("rig_ssh"), lazy("rig_docker")
    if rig_docker.missing() or rig_ssh.SSHD is None:
        raise Failed(rig_docker.missing() or "sshd is not installed")
    with rig_docker.shared() as engine, rig_ssh.site() as site:
        home = Path(scene.env["HOME"])
        site.configure(home)
        ssh = ("ssh", "-F", f"{home}/.ssh/config", "-o", f"UserKnownHostsFile={home}/.ssh/known_hosts")
        image = rig_docker.ensure(engine, rig_docker.PYTHON)
        yield Place(scene, engine.command, image, ssh, str(site.ann.home))
