"""A run whose processes were killed is closed by the next command, and `recover` says which ones were."""

import json
import subprocess

import psutil
import pytest

LOOP = """
import gittrack, sys, time
run = gittrack.init()
step = 0
while True:
    run.log({"loss": 1.0}, step=step)
    step += 1
    if step == 100:
        print("up", flush=True)
    time.sleep(0.01)
"""


@pytest.fixture
def killed(repo):
    """A run whose every process was killed in the middle; at least 100 points were logged."""
    (repo / "loop.py").write_text(LOOP)
    running = subprocess.Popen(
        ["git-track", "run", "--quiet", "python", "loop.py"], cwd=repo, stdout=subprocess.PIPE, start_new_session=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    mother = psutil.Process(running.pid)
    for process in [*mother.children(recursive=True), mother]:
        process.kill()
    running.wait(60)
    running.stdout.read()  # its end: nobody holds it any more


def test_recover_closes_it_with_every_point(killed, track, git):
    assert track("recover").stdout.startswith("closed ")
    [run] = json.loads(track("ls", "--json").stdout)
    assert run["status"] in ("crashed", "killed")
    assert run["metrics"]["loss"]["count"] >= 100
    git("fsck", "--strict")
    assert track("recover").stdout == "no run to close\n"


def test_other_commands_do_it_by_themselves(killed, track):
    [run] = json.loads(track("ls", "--json").stdout)
    assert run["status"] in ("crashed", "killed")


def test_json(killed, track):
    found = json.loads(track("recover", "--json").stdout)
    assert len(found["closed"]) == 1
    assert found["undecided"] == []
