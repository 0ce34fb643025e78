"""Disks that are full, at the host and here, whatever is going on: said, with what to do, and nothing is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from sending_rig import disk
from survival import World, until, world

FILLING = """
import time
from pathlib import Path
import gittrack
run = gittrack.init()
for step in range(3):
    run.log({"loss": 1 / (step + 1)}, step=step)
    print("step", step, flush=True)
    Path("model.bin").write_bytes(bytes([step]) * 200_000)
    run.checkpoint(step=step, path="model.bin")
    if step == 0:
        time.sleep(0.5)
        with open("hog", "wb") as file:  # the disk is full from here on
            try:
                while True:
                    file.write(b"x" * 100_000)
                    file.flush()
            except OSError:
                pass
Path("full").touch()
while not Path("/marks/go").exists():
    time.sleep(0.01)
Path("hog").unlink()
time.sleep(0.5)
run.log({"loss": 0.0}, step=9)
print("over", flush=True)
"""


@pytest.fixture
def small(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str, tmp_path: Path) -> Iterator[World]:
    """Our folder of the host is on a disk of 6 MB."""
    with disk(site.folder / f"small-{os.getpid()}-{tmp_path.name}", "6m") as place:
        os.chown(place, *site.ann.ids)
        with world(repo, sealed, site, dockerd, python_image, folder=place / "ours") as made:
            (repo / "filling.py").write_text(FILLING)
            made.go()
            yield made


def test_a_disk_that_is_full_while_code_is_sent_leaves_no_run(small: World) -> None:
    (small.repo / "large.bin").write_bytes(os.urandom(9_000_000))
    said = small.track("run", "-H", "gpu1", "python3", "train.py", code=86)
    assert "No space" in said.err or "full" in said.err or "room" in said.err
    assert small.rows() == [] and small.jobs() == [] and small.starts() == []
    (small.repo / "large.bin").unlink()
    # What was sent before is no obstacle, once the processes there have seen that nobody wants it any more.
    until(lambda: small.track("run", "-H", "gpu1", "python3", "train.py"), 90)


def test_a_disk_that_is_full_while_a_job_runs_costs_nothing_that_was_kept_before_or_is_logged_later(
    small: World,
) -> None:
    (small.marks / "go").unlink()
    process = small.begin("run", "-H", "gpu1", "python3", "filling.py")
    until(lambda: list(small.folder.glob("jobs/*/work/full")))
    small.go()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert out == "step 0\nstep 1\nstep 2\nover\n"
    (row,) = small.rows()
    assert row["status"] == "completed" and row["metrics"]["loss"]["last_step"] == 9
    small.check_git()


def test_a_disk_that_is_full_here_stops_the_results_until_there_is_room(
    repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str, tmp_path: Path
) -> None:
    with disk(tmp_path / "here", "12m") as place:
        subprocess.run(["git", "clone", "-q", str(repo), str(place / "clone")], check=True)
        with world(place / "clone", sealed, site, dockerd, python_image) as made:
            made.go()
            made.track("run", "-H", "gpu1", "-d", "python3", "train.py")
            (run_id,) = made.jobs()
            until(lambda: made.has_ended(run_id))
            hog = place / "hog"
            with open(hog, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 65536)
                except OSError:
                    pass
            said = made.track("fetch", "gpu1", code=None)
            assert said.code != 0, said
            assert "no space" in said.err.lower() or "no room" in said.err, said
            hog.unlink()
            assert "1 run came" in made.track("fetch", "gpu1").out
            made.check_whole(run_id)


def test_a_port_in_use_and_an_image_that_cannot_be_built_leave_no_run(small: World) -> None:
    said = small.track("run", "-H", "gpu1", "--port", f"{small.line.port}:80", "python3", "train.py", code=None)
    assert said.code in (86, 87) and str(small.line.port) in said.err, said
    assert small.rows() == [] and small.jobs() == []
    said = small.track("run", "-H", "gpu1", "--image", "local/nothing:1", "python3", "train.py", code=87)
    assert small.rows() == [] and small.jobs() == [] and small.starts() == []
