"""Jobs at a host, against `ssh HOST docker run` of the same image: the time until a changed script's first line.

The SSH server and the Docker engine are those of the tests: real ones, which need root. The floor has its script there
already; ours has to send it, so one git push of the same change is added to what it may take.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Failed, Line, Spread
from benchmarks.scene import Scene, write
from gittrack.lazy import lazy

RIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests", "launch")
TIMES = 7
SHARE = 1.5  # of the floor, to which one push is added


def measure(scene: Scene) -> Iterator[Line]:
    with _host(scene) as (site, engine, image):
        repo = scene.repository("hosts")
        write(
            os.path.join(repo, "gittrack.yaml"),
            f"hosts:\n  gpu1:\n    host: host\n    docker: {engine.command}\n    image: {image}\n",
        )
        ssh = ["ssh", "-F", f"{scene.env['HOME']}/.ssh/config",
               "-o", f"UserKnownHostsFile={scene.env['HOME']}/.ssh/known_hosts"]  # fmt: skip
        _run(scene, [*ssh, "host", "mkdir -p code && git init -q --bare code.git"])
        floor = [
            *ssh,
            "host",
            f"{engine.command} run --rm -v {site.ann.home}/code:/work {image} python3 /work/train.py",
        ]
        took: list[tuple[float, float, float]] = []
        for turn in range(-1, TIMES):
            script = f"print('turn {turn}', flush=True)\n"
            write(os.path.join(repo, "train.py"), script)
            _run(scene, [*ssh, "host", "cat > code/train.py"], script.encode())
            ours = _first_line(scene, repo, ["git-track", "run", "-H", "gpu1", "python3", "train.py"], turn)
            theirs = _first_line(scene, repo, floor, turn)
            scene.git(repo, "commit", "-qam", "Another turn")
            start = time.perf_counter()
            push = {**scene.env, "GIT_SSH_COMMAND": " ".join(ssh)}
            subprocess.run(["git", "push", "-q", "host:code.git", "HEAD:refs/heads/x"], cwd=repo, env=push, check=True)
            took += [(ours, theirs, time.perf_counter() - start)] if turn >= 0 else []
    push_took = Spread(tuple(push for _, _, push in took)).median
    allowed = Spread(tuple((theirs * SHARE + push) * 1000 for _, theirs, push in took))
    seen = Spread(tuple(ours * 1000 for ours, _, _ in took))
    plain = Spread(tuple(theirs * 1000 for _, theirs, _ in took)).median
    note = f"`ssh HOST docker run` alone {plain:.0f} ms, the push {push_took * 1000:.0f} ms"
    work = "second `run -H` of a changed script, until its first line"
    yield Line("hosts", work, "1.5 × `ssh HOST docker run` + one git push", allowed, seen, "ms", 1.0, note=note)


@contextlib.contextmanager
def _host(scene: Scene) -> Iterator[tuple[Any, Any, str]]:
    """The rigs of the tests. Raises Failed where they cannot be had."""
    sys.path.insert(0, RIGS)
    rig_ssh, rig_docker = lazy("rig_ssh"), lazy("rig_docker")
    if os.geteuid() or rig_docker.missing():
        raise Failed("needs root, sshd, dockerd and debootstrap")
    with rig_docker.shared() as engine, rig_ssh.site() as site:
        site.configure(Path(scene.env["HOME"]))
        yield site, engine, rig_docker.ensure(engine, rig_docker.PYTHON)


def _first_line(scene: Scene, cwd: str, argv: list[str], turn: int) -> float:
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(argv, cwd=cwd, env=scene.env, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - start
        process.stdout.read()
        process.wait()
        said.seek(0)
        if line != f"turn {turn}\n".encode():
            raise Failed(f"{argv[0]} printed {line!r}: {said.read()[-1000:].decode(errors='replace')}")
    return took


def _run(scene: Scene, argv: list[str], given: bytes = b"") -> None:
    subprocess.run(argv, env=scene.env, input=given, check=True, capture_output=True)
