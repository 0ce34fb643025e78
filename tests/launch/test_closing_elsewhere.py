"""A job that died, and whose image is gone: its end can be said by any Python. And two clones that say it at once."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site
from sending_rig import without
from survival import World, until, world

from gittrack.runs import locking

PYTHONS = ("python", "python3", *(f"python3.{minor}" for minor in range(9, 15)))


@pytest.fixture
def died(repo: Path, sealed: Path, site: Site, dockerd: Engine, slim_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, slim_image) as made:
        yield made


def has_said(job: Path, word: str) -> None:
    console = job / "run/console.log"
    until(lambda: console.exists() and word in console.read_text())


def kill_a_job(made: World) -> str:
    made.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = made.jobs()
    has_said(made.folder / "jobs" / run_id, "step 5")
    made.engine.docker("kill", f"gittrack-{run_id}")
    made.engine.docker("wait", f"gittrack-{run_id}")
    return run_id


def check_closed(made: World, steps: int = 6) -> None:
    (row,) = made.rows()
    assert row["status"] == "crashed" and row["metrics"]["loss"]["last_step"] == steps - 1, row
    made.check_git()


def test_a_clone_that_finds_another_one_closing_a_job_waits_for_it(died: World) -> None:
    run_id = kill_a_job(died)
    lock = locking.take_run(str(died.folder / "jobs" / run_id / "run"))
    assert lock is not None
    busy = threading.Timer(2, os.close, [lock])
    busy.start()
    assert "1 run came" in died.track("fetch", "gpu1").out
    assert not busy.is_alive()
    check_closed(died)


def test_jobs_whose_image_is_gone_are_closed_by_any_python_there_is(
    repo: Path, sealed: Path, own_engine: Engine, slim_image: str, track: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rig_docker.ensure(own_engine, slim_image)
    (repo / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    with monkeypatch.context() as changed:
        changed.setenv("DOCKER_HOST", own_engine.host)
        for _ in range(2):
            track("run", "--container", "-d", "--image", slim_image, "python3", "train.py")
        first, second = (sealed / ".gittrack/jobs").iterdir()
        for job in (first, second):
            has_said(job, "begun")
            own_engine.docker("rm", "-f", f"gittrack-{job.name}")
        own_engine.docker("rmi", slim_image)
        with changed.context() as poor:
            without(PYTHONS, tmp_path / "bin", poor)
            said = track("attach", first.name, code=86).stderr
            assert "no Python 3.9 or later" in said and "any `python:3`" in said, said
            rig_docker.ensure(own_engine, rig_docker.OLD)
            track("attach", first.name, code=70)  # by another image's
        own_engine.docker("rmi", rig_docker.OLD)
        track("attach", second.name, code=70)  # by the host's own
        assert track("ls").stdout.count("crashed") == 2
