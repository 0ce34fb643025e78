"""What a host had of a job that was still being sent is gone when it goes on: it is sent again, and started once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import CONSOLE, World, killed_after, world

from gittrack.runs import away


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        made.go()
        yield made


@pytest.mark.parametrize(("step", "gone"), [("sent", "folder"), ("ready", "folder"), ("ready", "container")])
def test_what_is_gone_at_the_host_is_sent_again(survived: World, step: str, gone: str) -> None:
    killed_after(survived, step)
    (run_id,) = survived.jobs()
    if gone == "folder":
        shutil.rmtree(survived.folder)
    else:
        survived.engine.docker("rm", "-f", f"gittrack-{run_id}")
    assert survived.track("attach", run_id).out == CONSOLE
    assert len(survived.starts()) == 1
    survived.check_whole(run_id)


def test_a_job_that_was_started_and_is_over_and_cleaned_up_by_others_is_not_started_again(survived: World) -> None:
    """Its sender was killed before it knew that it had started it."""
    survived.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = survived.jobs()
    away.update(str(survived.repo / f".git/track/live/{run_id}"), step="ready", state=away.STARTING)
    other = survived.second()
    survived.track("wait", run_id, "-H", "direct", cwd=other)
    assert survived.track("attach", run_id).code == 0
    assert len(survived.starts()) == 1
    survived.check_whole(run_id)
    assert survived.refs() == survived.refs(other)
