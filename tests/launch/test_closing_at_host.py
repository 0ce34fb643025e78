"""A job whose container was killed: the engine knows when, and nobody with which exit code."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

from gittrack.launch.engine.state import moment, read

WAIT = """
import time
print("begun", flush=True)
time.sleep(600)
"""


@pytest.fixture
def project(repo: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[Path]:
    hosts = f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    (repo / "gittrack.yaml").write_text(hosts)
    (repo / "wait.py").write_text(WAIT)
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def test_a_container_that_was_killed_has_ended_when_the_engine_says_so(
    project: Path, track: Callable[..., Any], git: Callable[..., str], dockerd: Engine
) -> None:
    track("run", "-H", "gpu1", "-d", "python3", "wait.py")
    following = subprocess.Popen(["git-track", "logs", "-f"], cwd=project, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None and following.stdout.readline() == "begun\n"
    following.kill()
    following.communicate()
    (row,) = json.loads(track("ls", "--json").stdout)
    name = f"gittrack-{row['id']}"
    dockerd.docker("kill", name)
    dockerd.docker("wait", name)
    finished = moment(dockerd.docker("inspect", "--format", "{{.State.FinishedAt}}", name).strip())
    track("attach", code=70)
    status = json.loads(git("show", f"refs/track/runs/{row['id'][-2:]}/{row['id']}:status.json"))
    assert (status["status"], status["exit_code"]) == ("crashed", None), status  # 137 is not the command's
    assert "exit code 137" in status["reason"]
    assert finished is not None and abs((moment(status["ended"]) or 0.0) - finished) < 0.001, (status, finished)


def test_a_container_that_ended_at_once_has_not_begun_after_that() -> None:
    """An engine notes the start when it has seen to it that there is one, and the end as soon as it comes."""
    times = {"StartedAt": "2026-01-02T03:04:05.0004Z", "FinishedAt": "2026-01-02T03:04:05Z"}
    found = read({"State": {"Status": "exited", "ExitCode": 0, **times}})
    assert found.started == found.finished == moment("2026-01-02T03:04:05Z")
