"""What a command leaves in the background: its run is open as here, who watches is told, and how to end it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world


@pytest.fixture
def lab(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        yield made


def told(process: "subprocess.Popen[str]") -> str:
    """The line that says what goes on."""
    assert process.stderr is not None
    for line in process.stderr:
        if "go on at" in line:
            return line
    raise AssertionError("it has ended")


@pytest.mark.parametrize("command", ["run", "wait"])
def test_who_watches_is_told_what_goes_on_and_how_to_end_it(lab: World, command: str) -> None:
    job = ["python3", "-c", "import subprocess; print('over', flush=True); subprocess.Popen(['sleep', '1000'])"]
    if command == "wait":
        lab.track("run", "-H", "gpu1", "-d", *job)
        process = lab.begin("wait", "latest")
    else:
        process = lab.begin("run", "-H", "gpu1", *job)
    said = told(process)
    (run_id,) = lab.jobs()
    assert f"run {run_id[:7]} is completed" in said and "at gpu1: sleep;" in said
    assert f"`git track stop {run_id[:7]}` ends them" in said
    lab.track("stop", run_id)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "completed" in err and "go on at" not in err
    (row,) = lab.rows()
    assert row["status"] == "completed" and row["exit_code"] == 0
    assert "which keep its run open: sleep" in lab.track("show", run_id).out
    lab.check_git()


def test_what_holds_nothing_of_a_run_ends_with_its_container_and_is_named(lab: World) -> None:
    lab.track("run", "-H", "gpu1", "-d", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo over")
    (run_id,) = lab.jobs()
    until(lambda: lab.has_ended(run_id), 60)
    done = lab.track("attach")
    assert done.out == "over\n" and "which end with its container: sleep" in done.err
    assert lab.engine.docker("ps", "-aq", "--filter", f"name=gittrack-{run_id}") == ""
    lab.check_git()
