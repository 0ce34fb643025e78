"""Images that go to a real registry and come from there: of a project, of a run, and where one has to log in."""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rig_docker
import rig_registry
from rig_ssh import Site

from gittrack.launch.engine.engine import Engine
from gittrack.launch.link.protocol import Link

Track = Callable[..., subprocess.CompletedProcess[str]]
TOLD = re.compile(r"127\.0\.0\.1:\d+/team/iris:\w+@sha256:[0-9a-f]{64}\n")


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """One that anybody may use."""
    with rig_registry.registry() as address:
        yield address


@pytest.fixture
def project(
    repo: Path, git: Callable[..., str], site: Site, dockerd: rig_docker.Engine, old_image: str
) -> Iterator[Path]:
    """A project with an image of its own and a host; nothing of it is at the engine afterwards."""
    (repo / "Dockerfile").write_text(f"FROM {old_image}\nRUN head -c 20000000 /dev/urandom >/weights\n")
    host = f"hosts: {{gpu1: {{host: host, docker: '{dockerd.command}'}}}}\n"
    (repo / "gittrack.yaml").write_text(host + "build: {dockerfile: Dockerfile, network: host}\n")
    git("commit", "-q", "--amend", "--allow-empty", "-m", f"First commit of {repo}")  # a project of its own
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)
    gone(dockerd, git)


@pytest.fixture
def track_here(track: Track, dockerd: rig_docker.Engine) -> Track:
    """git track with the rig's engine as that of this machine."""
    return lambda *args, **more: track(*args, DOCKER_HOST=dockerd.host, **more)


def gone(dockerd: rig_docker.Engine, git: Callable[..., str]) -> None:
    """The engine forgets all images of the project, and the names that they were pushed under."""
    label = f"label=gittrack.project={git('rev-list', '--max-parents=0', 'HEAD')}"
    for name in dockerd.docker("images", "-q", "--filter", label).split():
        dockerd.docker("rmi", "-f", name, code=None)
    assert dockerd.docker("images", "-q", "--filter", label) == ""


def test_the_image_of_a_project_is_pushed_and_a_job_pulls_it_by_its_digest(
    project: Path,
    track_here: Track,
    track: Track,
    git: Callable[..., str],
    dockerd: rig_docker.Engine,
    registry: str,
    here: Link,
) -> None:
    said = track_here("image", "push", f"{registry}/team/iris:1").stdout
    assert TOLD.fullmatch(said)
    told = json.loads(track_here("image", "push", f"{registry}/team/iris:1", "--json").stdout)
    assert f"{told['name']}@{told['digest']}\n" == said
    gone(dockerd, git)

    name = f"{registry}/team/iris@{told['digest']}"
    script = "import os; print('of', os.path.getsize('/weights'))"
    assert track("run", "-H", "gpu1", "--image", name, "python3", "-c", script).stdout == "of 20000000\n"
    assert name in track("show", "latest").stdout

    # What a terminal is told of the pull.
    dockerd.docker("rm", "-f", *dockerd.docker("ps", "-aq", "--filter", f"ancestor={name}").split(), code=None)
    dockerd.docker("rmi", "-f", name)
    told_of: list[tuple[str, int, int]] = []
    with contextlib.closing(Engine.open(here, dockerd.command)) as engine:
        assert engine.pull(name, lambda *each: told_of.append(each)).digest == name
    assert {what for what, _, _ in told_of} >= {"Downloading", "Extracting"}
    assert all(0 <= done <= total and total > 20_000_000 for _, done, total in told_of)
    dockerd.docker("rmi", "-f", name)


def test_the_image_of_a_run_is_pushed_and_executes_it_wherever_it_is_pulled(
    project: Path, track_here: Track, git: Callable[..., str], dockerd: rig_docker.Engine, registry: str
) -> None:
    (project / "train.py").write_text("import sys; print('trained', *sys.argv[1:], open('data').read())\n")
    (project / "data").write_text("uncommitted")
    track_here("run", "--container", "--name", "first", "python3", "train.py", "--lr", "0.1")
    (project / "data").write_text("changed since")
    said = track_here("image", "push", "--run", "first", f"{registry}/team/iris:best").stdout
    assert TOLD.fullmatch(said)
    gone(dockerd, git)
    name = f"{registry}/team/iris@{said.strip().rpartition('@')[2]}"
    assert dockerd.docker("run", "--rm", "--network", "none", name) == "trained --lr 0.1 uncommitted"
    dockerd.docker("rmi", "-f", name)


def test_a_registry_for_those_who_log_in_says_so_and_takes_the_credentials_of_docker_login(
    project: Path, track_here: Track, track: Track, git: Callable[..., str], dockerd: rig_docker.Engine
) -> None:
    (project / "Dockerfile").write_text("FROM scratch\nCOPY gittrack.yaml /\n")
    with rig_registry.registry(login=True) as address:
        name = f"{address}/team/iris:1"
        refused = track_here("image", "push", name, code=87)
        assert f"docker login {address}" in refused.stderr and name in refused.stderr
        login = ["docker", "--host", dockerd.host, "login", "-u", rig_registry.USER, "--password-stdin", address]
        wrong = subprocess.run(login, input="wrong", text=True, capture_output=True, check=False)
        assert wrong.returncode
        subprocess.run(login, input=rig_registry.PASSWORD, text=True, capture_output=True, check=True)
        assert TOLD.fullmatch(track_here("image", "push", name).stdout)
        gone(dockerd, git)

        # The host has no credentials; those of this machine are sent with the request.
        pulled = track("run", "-H", "gpu1", "--image", name, "true", code=None)
        assert "no-image" not in pulled.stderr and "login" not in pulled.stderr and dockerd.has(name), pulled.stderr
        dockerd.docker("rmi", "-f", name)
        dockerd.docker("logout", address)
        failed = track("run", "-H", "gpu1", "--image", name, "true", code=87)
        assert f"docker login {address}" in failed.stderr
