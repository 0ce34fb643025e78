"""The whole way of a job, step by step, with a real SSH server, a real Docker engine and a real training script.

Read it from the top: it is what a user does, and what becomes of it.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

TRAINING = """
import argparse, sys
import gittrack

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
options = parser.parse_args()
run = gittrack.init()
for step in range(3):
    run.log({"loss": 1 / (step + 1) * options.lr}, step=step)
    print("step", step, flush=True)
print("done", file=sys.stderr)
"""
WAITING = """
import pathlib, time
print("waiting", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
print("went", flush=True)
"""


def rows(listed: Any) -> list[dict[str, Any]]:
    """What `ls --json` and `ps --json` print."""
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found


@pytest.fixture
def project(repo: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[Path]:
    """A project whose gittrack.yaml names a machine `gpu1`. The user there has no rights but to use Docker."""
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    )
    (repo / "train.py").write_text(TRAINING)
    (repo / "wait.py").write_text(WAITING)
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def test_a_training_at_a_host_from_the_first_command_to_the_last(
    project: Path, sealed: Path, track: Callable[..., Any], git: Callable[..., str], site: Site, dockerd: Engine
) -> None:
    # 1. Reach. Nobody knows the host's key yet, and there is no terminal to ask at: nothing is sent.
    (sealed / ".ssh/known_hosts").unlink()
    refused = track("run", "-H", "gpu1", "python3", "train.py", code=86)
    assert "--accept-new" in refused.stderr and "SHA256:" in refused.stderr
    assert track("ls", "-q").stdout == ""

    # 2 to 7. Look, send, environment, run, watch, back: the script is not committed, and the host has never seen the
    # project. Console and exit code are those of the script.
    done = track("run", "-H", "gpu1", "--accept-new", "python3", "train.py", "--lr", "0.5")
    assert done.stdout == "step 0\nstep 1\nstep 2\n"
    look, begun, console, ended, _ = done.stderr.splitlines()
    assert look.startswith("gpu1: docker ") and "CPU" in look
    assert console == "done"
    assert "completed" in ended and "loss 0.16667" in ended

    # The run is a run like any other: commits on a ref of this clone.
    (run,) = rows(track("ls", "--json"))
    assert run["status"] == "completed" and run["id"].startswith(begun.split()[-1])
    assert run["params"]["lr"] == 0.5
    assert track("logs", run["id"]).stdout == "step 0\nstep 1\nstep 2\ndone\n"
    git("fsck", "--strict")

    # Its record says where it was executed, and in which image.
    facts = json.loads(git("show", f"refs/track/runs/{run['id'][-2:]}/{run['id']}:run.json"))
    assert facts["launched"]["host"] == "gpu1" and facts["launched"]["digest"].startswith("sha256:")
    container = json.loads(git("show", f"refs/track/runs/{run['id'][-2:]}/{run['id']}:environment/container.json"))
    assert container["host"]["cpus"] > 0

    # 8. Leave clean: no container is left, and all that is left at the host is in one folder.
    assert dockerd.docker("ps", "-aq", "--filter", f"label=gittrack.run={run['id']}") == ""
    assert sorted(path.name for path in site.ann.home.iterdir() if path.name != ".bash_history") == [".gittrack"]


def test_a_job_goes_on_by_itself_and_is_watched_again(
    project: Path, track: Callable[..., Any], git: Callable[..., str], site: Site
) -> None:
    started = track("run", "-H", "gpu1", "-d", "--name", "long", "python3", "wait.py")
    assert started.stdout == "" and "git track attach" in started.stderr
    (row,) = rows(track("ps", "--json"))
    assert (row["status"], row["name"]) == ("running", "long")

    # The same command again says so, and is a run of its own.
    again = track("run", "-H", "gpu1", "-d", "python3", "wait.py")
    assert f"unfinished at gpu1: `git track attach {row['id'][:7]}`" in again.stderr

    # A command in its container: here it ends what the job waits for.
    track("exec", "long", "--", "touch", "go")
    done = track("attach", "long")
    assert done.stdout == "waiting\nwent\n"
    assert "completed" in done.stderr

    # The other one is stopped.
    assert "cpu" in track("top", "gpu1").stdout
    track("stop", "latest", "--grace", "5")
    assert track("wait", "latest", code=143).returncode == 143
    stopped = rows(track("ls", "--json"))[0]
    assert stopped["status"] == "killed"


def test_of_several_hosts_the_first_free_one_gets_the_job(project: Path, track: Callable[..., Any]) -> None:
    done = track("run", "-H", "nowhere.invalid,gpu1", "python3", "train.py")
    assert "nowhere.invalid is passed over" in done.stderr and done.stdout.endswith("step 2\n")
    assert track("run", "-H", "any", "python3", "train.py").stdout == done.stdout
    refused = track("run", "-H", "gpu1,nowhere.invalid", "--gpus", "all", "python3", "train.py", code=86)
    assert "none of these hosts" in refused.stderr and len(rows(track("ls", "--json"))) == 2
