"""What goes wrong after a job has begun never takes away what it has left."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world

from gittrack import errors
from gittrack.launch.jobs import steps

ONCE = "local/once:1"


@pytest.fixture
def small_world(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        base = dockerd.docker("create", python_image, "true")
        dockerd.docker("commit", base, ONCE)  # an image of its own, which can be removed
        dockerd.docker("rm", base)
        yield made
        dockerd.docker("rmi", "-f", ONCE, code=None)


def test_results_stay_when_neither_the_container_nor_its_image_is_there_any_more(small_world: World) -> None:
    small_world.track("run", "-H", "gpu1", "-d", "--image", ONCE, "python3", "train.py")
    (row,) = small_world.rows()
    run_id = row["id"]
    job = small_world.folder / "jobs" / run_id
    until(lambda: (job / "run/cuts.jsonl").exists() and (job / "run/cuts.jsonl").read_text().count("checkpoint") == 2)
    small_world.engine.docker("rm", "-f", f"gittrack-{run_id}")  # `docker system prune -a` does both
    small_world.engine.docker("rmi", "-f", ONCE)
    said = small_world.track("attach", run_id, code=70)  # closed by another Python that the host has
    assert "nobody knows how" in said.err
    (row,) = small_world.rows()
    assert (row["id"], row["status"]) == (run_id, "crashed") and row["metrics"]["loss"]["last_step"] >= 4
    small_world.track("fetch", "gpu1")
    assert small_world.rows() == [row]


@pytest.mark.parametrize("left", [None, "", '{"argv": ["py'])
def test_a_job_that_was_cut_off_before_it_was_kept_says_what_to_do(tmp_path: Path, left: str | None) -> None:
    if left is not None:
        (tmp_path / steps.JOB).write_text(left)
    with pytest.raises(errors.RunNotFound) as raised:
        steps.read_job(str(tmp_path))
    assert "gives it up" in str(raised.value.hint)


def test_a_job_that_could_not_be_started_leaves_nothing_at_its_host_though_the_engine_cannot_be_asked(
    small_world: World,
) -> None:
    settings = small_world.repo / "gittrack.yaml"
    settings.write_text(settings.read_text().replace(small_world.engine.command, "/nowhere/docker"))
    said = small_world.track("run", "-H", "gpu1", "--image", "local/some", "python3", "train.py", code=86)
    assert "no program /nowhere/docker" in said.err
    assert small_world.jobs() == [] and small_world.rows() == []
