"""Many at once: two users of a host, two clones that send to it, twenty jobs of one clone, two who go on with one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import CONSOLE, World, until, world

JOBS = 20
SHORT = """
import gittrack, sys
run = gittrack.init()
run.log({"loss": float(sys.argv[1])}, step=0)
print("number", sys.argv[1])
"""


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    (repo / "short.py").write_text(SHORT)
    with world(repo, sealed, site, dockerd, python_image) as made:
        made.go()
        yield made


def test_two_laptops_and_two_users_at_one_host_do_not_meet(survived: World) -> None:
    other = survived.repo.parent / "other"
    subprocess.run(["git", "clone", "-q", str(survived.repo), str(other)], check=True)
    (other / "train.py").write_text((other / "train.py").read_text() + "# of the other one\n")
    third = survived.repo.parent / "third"
    subprocess.run(["git", "clone", "-q", str(survived.repo), str(third)], check=True)
    asked = [
        survived.begin("run", "-H", "gpu1", "python3", "train.py"),
        survived.begin("run", "-H", "direct", "python3", "train.py", cwd=other),
        survived.begin("run", "-H", "bob", "python3", "train.py", cwd=third),
    ]
    for process in asked:
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0 and out == CONSOLE, err
    assert len(survived.starts()) == 3
    survived.track("fetch", "direct")
    survived.track("fetch", "gpu1", cwd=other)
    assert survived.refs() == survived.refs(other) and len(survived.refs()) == 2
    assert len(survived.refs(third)) == 1
    for clone in (survived.repo, other, third):
        survived.check_git(clone)
    (sent,) = survived.folder.glob("repos/*")
    subprocess.run(["git", "-C", str(sent), "-c", "safe.directory=*", "fsck", "--strict"], check=True)


def test_twenty_jobs_started_at_once_are_all_recorded(survived: World) -> None:
    asked = [survived.begin("run", "-H", "gpu1", "python3", "short.py", str(number)) for number in range(JOBS)]
    for number, process in enumerate(asked):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and out == f"number {number}\n", err
        assert "lock" not in err and "Traceback" not in err
    rows = survived.rows()
    assert sorted(row["metrics"]["loss"]["last"] for row in rows) == [float(number) for number in range(JOBS)]
    assert {row["status"] for row in rows} == {"completed"}
    survived.check_git()
    assert survived.refs(survived.second()) == survived.refs()


def test_two_who_go_on_with_one_launch_start_it_once(survived: World) -> None:
    process = survived.begin("run", "-H", "gpu1", "python3", "train.py")
    until(survived.rows)  # it is known, and hardly begun
    (run,) = survived.rows()
    asked = [process, *(survived.begin("attach", run["id"]) for _ in range(3))]
    for each in asked:
        out, err = each.communicate(timeout=90)
        assert each.returncode == 0 and out == CONSOLE, err
    assert len(survived.starts()) == 1
    survived.check_whole(run["id"])


def test_a_container_that_is_removed_while_somebody_looks_at_it_costs_him_nothing(survived: World) -> None:
    survived.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = survived.jobs()
    until(lambda: survived.has_ended(run_id))
    looking = [survived.begin("logs", "-f", run_id) for _ in range(3)]
    survived.engine.docker("rm", "-f", f"gittrack-{run_id}", code=None)
    for process in looking:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and out == CONSOLE, err
    survived.check_whole(run_id)
