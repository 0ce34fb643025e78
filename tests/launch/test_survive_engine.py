"""The engine of the host is killed and comes back: containers are gone, their runs are not."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, own_engine: Engine, slim_image: str) -> Iterator[World]:
    rig_docker.ensure(own_engine, slim_image)
    with world(repo, sealed, site, own_engine, slim_image) as made:
        yield made


def test_an_engine_that_is_started_again_costs_the_job_and_not_its_results(survived: World) -> None:
    survived.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = survived.jobs()
    watching = survived.begin("attach", "--reconnect", "0", run_id)
    assert watching.stdout is not None and watching.stdout.readline() == "step 0\n"
    until(lambda: "step 5" in _console(survived, run_id))
    rig_docker.kill(survived.engine)
    watching.stdout.read()
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 88 and "engine of gpu1 does not run" in err, err
    assert [row["status"] for row in survived.rows()] == ["running"]  # nobody knows better
    said = survived.track("fetch", "gpu1")
    assert "cannot be asked" in said.err and "1 run goes on" in said.out
    rig_docker.again(survived.engine)  # it ends what it does not know any more: first by SIGTERM
    assert survived.track("attach", run_id, code=None).code in (143, 70)
    (row,) = survived.rows()
    assert row["status"] in ("killed", "crashed") and row["metrics"]["loss"]["last_step"] == 5
    assert len(survived.starts()) == 1
    survived.check_git()


def test_an_engine_that_is_shut_down_ends_jobs_as_killed(survived: World) -> None:
    survived.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = survived.jobs()
    until(lambda: "step 5" in _console(survived, run_id))
    rig_docker.kill(survived.engine, signal.SIGTERM)
    until(lambda: survived.has_ended(run_id))
    rig_docker.again(survived.engine)
    survived.track("attach", run_id, code=143)
    (row,) = survived.rows()
    assert row["status"] == "killed" and row["metrics"]["loss"]["last_step"] == 5
    assert len(survived.starts()) == 1


def _console(world: World, run_id: str) -> str:
    path = world.folder / "jobs" / run_id / "run/console.log"
    return path.read_text() if path.exists() else ""
