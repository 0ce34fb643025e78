"""`gittrack.launch()`: jobs from Python."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig_docker
from common import wait_until
from rig_docker import Engine

import gittrack
from gittrack.git.discover import discover
from gittrack.launch.engine.position import Position
from gittrack.launch.jobs import following

SCRIPT = """
import pathlib, sys, time
print("begun", flush=True)
while not pathlib.Path("go").exists() and "wait" in sys.argv:
    time.sleep(0.05)
print("over")
"""


@pytest.fixture
def project(
    repo: Path, dockerd: Engine, python_image: str, sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    (repo / "train.py").write_text(SCRIPT)
    (repo / "gittrack.yaml").write_text(f"image: {python_image}\n")
    monkeypatch.setenv("DOCKER_HOST", dockerd.host)
    monkeypatch.chdir(repo)
    yield repo
    rig_docker.remove_jobs(dockerd, sealed)


def test_a_job_is_started_waited_for_and_read(project: Path) -> None:
    with gittrack.launch("python3 train.py", name="first", env={"A": "b"}) as job:
        assert job.wait(timeout=60) == "completed"
        assert job.exit_code == 0
        assert "".join(job.logs()) == "begun\nover\n"
    (run,) = gittrack.runs()
    assert (run.id, run.name) == (job.id, "first")


def test_a_job_that_goes_on_is_running_until_it_is_stopped(project: Path) -> None:
    job = gittrack.launch(["python3", "train.py", "wait"])
    assert next(job.logs(follow=True)) == "begun\n"
    assert job.status == "running" and job.exit_code is None
    with pytest.raises(TimeoutError):
        job.wait(timeout=0.5)
    job.stop(grace=5)
    assert job.wait(timeout=60) == "killed"
    job.close()


def test_who_has_waited_for_a_while_lets_others_bring_the_results(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY", 0.02)
    with gittrack.launch(["python3", "train.py", "wait"]) as job:
        with pytest.raises(TimeoutError):
            job.wait(timeout=1)
        job.stop(grace=5)
        wait_until(lambda: job.status == "killed")


def test_a_wait_ends_in_time_although_its_terminal_takes_nothing(project: Path) -> None:
    (project / "loud.py").write_text("while True:\n    print('x' * 1000)\n")
    with gittrack.launch(["python3", "loud.py"]) as job:
        at = job._reached()
        watched = following.Follower(at, discover(str(project), os.environ), job.id, Position())
        pieces: list[bytes] = []
        taken = threading.Event()

        def stuck(_stream: int, data: bytes) -> None:
            pieces.append(data)
            watched.interrupt()
            taken.wait()

        try:
            assert watched.console(stuck) is False
            assert not taken.is_set()
        finally:
            watched.leave()
            taken.set()
            job.stop(grace=0)
        assert len(pieces) == 1


def test_what_the_console_is_handed_to_may_fail(project: Path) -> None:
    def gone(_stream: int, _data: bytes) -> None:
        raise BrokenPipeError(32, "nobody reads")

    with gittrack.launch(["python3", "train.py"]) as job:
        watched = following.Follower(job._reached(), discover(str(project), os.environ), job.id, Position())
        with pytest.raises(BrokenPipeError, match="nobody reads"):
            watched.console(gone)
        watched.leave()
        job.wait()


def test_without_detaching_it_is_over_when_the_call_returns(project: Path) -> None:
    job = gittrack.launch("python3 train.py", detach=False)
    assert job.status == "completed"
    job.close()


def test_an_unknown_option_is_refused_before_anything_is_done(project: Path) -> None:
    with pytest.raises(TypeError, match="gpu is no option"):
        gittrack.launch("true", gpu=1)


def test_importing_gittrack_loads_neither_docker_nor_fabric() -> None:
    code = "import gittrack, sys; print([m for m in ('docker', 'fabric') if m in sys.modules], gittrack.launch)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("[] <function launch")
