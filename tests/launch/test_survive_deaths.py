"""What dies at the host, and what of its results is saved all the same: the run is closed, with the reason."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world

from gittrack.core import events

HEAD = "".join(f"step {step}\n" for step in range(6))  # the training waits behind its sixth step
GREEDY = """
import gittrack
run = gittrack.init()
run.log({"loss": 1.0}, step=0)
print("step 0", flush=True)
hoard = []
while True:
    hoard.append(bytearray(b"x" * 5_000_000))
"""


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        (repo / "greedy.py").write_text(GREEDY)
        yield made


def started(world: World) -> str:
    """A job that waits behind its sixth step, after two checkpoints; nobody watches it."""
    world.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (row,) = [row for row in world.rows() if row["status"] == "running"]
    run_id: str = row["id"]
    journal = world.folder / "jobs" / run_id / "run"
    until(lambda: (journal / "cuts.jsonl").exists() and (journal / "cuts.jsonl").read_text().count("checkpoint") == 2)
    until(lambda: "step 5" in (journal / events.CONSOLE).read_text())
    return run_id


def check_partial(world: World, run_id: str, reason: str, status: str = "crashed") -> None:
    """What there was when it died is in the record, and why it died."""
    (row,) = [row for row in world.rows() if row["id"] == run_id]
    assert row["status"] == status, row
    assert row["metrics"]["loss"]["last_step"] == 5
    assert world.track("logs", run_id).out == HEAD
    listed = json.loads(world.track("artifacts", run_id, "--json").out)
    assert [Path(each["path"]).name for each in listed].count("model.bin") == 2, listed
    assert reason in world.track("show", run_id).out
    world.check_git()
    assert world.refs(world.second()) == world.refs()


def test_a_container_that_is_removed_by_force_leaves_a_crashed_run_with_all_that_there_was(survived: World) -> None:
    run_id = started(survived)
    survived.engine.docker("rm", "-f", f"gittrack-{run_id}")
    said = survived.track("attach", run_id, code=70)
    assert said.out == HEAD and "nobody knows how" in said.err
    check_partial(survived, run_id, "its container is gone")


def test_an_attendant_that_is_killed_leaves_a_crashed_run(survived: World) -> None:
    run_id = started(survived)
    watching = survived.begin("attach", run_id)
    assert watching.stdout is not None and watching.stdout.readline() == "step 0\n"
    survived.engine.docker("kill", f"gittrack-{run_id}")
    assert watching.stdout.read() == HEAD.removeprefix("step 0\n")
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 70, err
    check_partial(survived, run_id, "exit code 137")


def test_a_command_that_takes_too_much_memory_says_so(survived: World) -> None:
    said = survived.track("run", "-H", "gpu1", "--memory", "100m", "python3", "greedy.py", code=None)
    assert said.code == 137, said
    (row,) = survived.rows()
    assert row["status"] in ("killed", "crashed") and row["metrics"]["loss"]["last_step"] == 0
    assert "out of memory" in survived.track("show", row["id"]).out


def test_a_host_that_is_off_is_lost_from_afar_and_closed_when_it_is_back(survived: World) -> None:
    run_id = started(survived)
    survived.engine.docker("kill", f"gittrack-{run_id}")
    survived.engine.docker("rm", f"gittrack-{run_id}")
    server = survived.site.sshd
    os.kill(server.pid, signal.SIGSTOP)  # whoever connects gets no answer; here the line is down, which says it sooner
    server.cut()
    try:
        away = survived.repo / f".git/track/live/{run_id}/away.json"
        os.utime(away, (away.stat().st_mtime - 3700,) * 2)
        assert [row["status"] for row in survived.rows()] == ["lost?"]
        survived.track("recover", "--force", code=None)
        assert [row["status"] for row in survived.rows()] == ["lost?"]
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert "1 run came" in survived.track("fetch", "gpu1").out
    check_partial(survived, run_id, "its container is gone")
