"""What a container has made as root cannot be removed by the user of the host, and goes all the same."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world


@pytest.fixture
def made(repo: Path, sealed: Path, site: Site, dockerd: Engine, slim_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, slim_image) as begun:
        yield begun


def roots(folder: Path) -> None:
    """As a container makes it that runs as root."""
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("root's")


def test_with_the_work_tree_goes_what_others_have_made_there(made: World) -> None:
    made.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = made.jobs()
    job = made.folder / "jobs" / run_id
    until((made.marks / "starts").read_text)
    roots(job / "work" / "roots")
    made.go()
    made.track("attach")
    made.check_whole(run_id)
    assert made.jobs() == [run_id]
    assert not (job / "work").exists() and (job / "run").exists()
    leftovers = made.engine.docker("ps", "-aq", "--filter", f"volume={made.folder}/jobs")
    assert leftovers == ""


def test_prune_removes_what_others_have_made(made: World, track: Callable[..., Any]) -> None:
    made.go()
    made.track("run", "-H", "gpu1", "python3", "train.py")
    (run_id,) = made.jobs()
    roots(made.folder / "jobs" / run_id / "home2")
    roots(made.folder / "jobs" / "gone.before")
    made.track("host", "prune", "gpu1", "--all", "--yes")
    assert made.jobs() == []
