"""A job at a host goes on where another run stopped: what of that is sent, and what its training finds there."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

import gittrack

TRAIN = """
import gittrack, os, sys
run = gittrack.init()
found = run.resume_checkpoint()
start = found.step + 1 if found else 0
count = int(found.open("out/state.txt").read()) if found else 0
if found:
    found.checkout("before")
    large = open("before/out/large.bin", "rb").read()
    print("FOUND", [one.path for one in found.files], len(large), dict(found.metrics))
    print("RUNS", open("before/out/runs.sh").read(), os.access("before/out/runs.sh", os.X_OK))
for step in range(start, start + 2):
    count += 1
    os.makedirs("out", exist_ok=True)
    open("out/state.txt", "w").write(str(count))
    open("out/large.bin", "wb").write(bytes([step]) * 3_000_000)
    with open("out/runs.sh", "w") as file:
        os.chmod("out/runs.sh", 0o755)
        file.write("same")
    run.checkpoint(path="out", step=step, metrics={"loss": 1 / count})
print("RESUME", os.environ.get("GITTRACK_RESUME"), start, count)
"""


def rows(track: Callable[..., Any]) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = json.loads(track("ls", "--json").stdout)
    return found[::-1]


def facts(git: Callable[..., str], run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(git("show", f"refs/track/runs/{run_id[-2:]}/{run_id}:run.json"))
    return found


@pytest.fixture
def project(repo: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[Path]:
    hosts = f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    (repo / "gittrack.yaml").write_text(hosts)
    (repo / ".gitignore").write_text("out\nbefore\n")
    (repo / "train.py").write_text(TRAIN)
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def test_a_run_of_this_machine_is_resumed_at_a_host_and_that_one_there_again(
    project: Path, track: Callable[..., Any], git: Callable[..., str], site: Site
) -> None:
    track("run", "python3", "train.py")
    done = track("run", "-H", "gpu1", "--resume", "latest", "python3", "train.py")
    first, second = rows(track)
    assert f"RESUME {first['id']} 2 4" in done.stdout, done.stderr
    assert "FOUND ['out/large.bin', 'out/runs.sh', 'out/state.txt'] 3000000 {'loss': 0.5}" in done.stdout
    assert "RUNS same True" in done.stdout
    assert facts(git, second["id"])["continues"] == {"run": first["id"], "step": 1}
    # Its own checkpoints came home, and are where the next one goes on; what the host has is not sent again.
    done = track("run", "-H", "gpu1", "--resume", f"{second['id']}@2", "python3", "train.py")
    assert f"RESUME {second['id']}@2 3 5" in done.stdout, done.stderr
    third = rows(track)[2]
    assert facts(git, third["id"])["continues"] == {"run": second["id"], "step": 2}
    # The end of a job leaves nothing of what it went on from but the host's cache.
    assert not [*site.ann.home.glob(".gittrack/jobs/*/checkpoint*")]


def test_what_is_sent_of_a_checkpoint_is_what_the_host_has_not(
    project: Path, track: Callable[..., Any], site: Site
) -> None:
    track("run", "python3", "train.py")
    track("run", "-H", "gpu1", "--resume", "latest", "python3", "train.py")
    first = rows(track)[0]
    cached = {path: path.stat().st_ino for path in site.ann.home.glob(".gittrack/cache/files/*/*")}
    assert len(cached) == 3
    track("run", "-H", "gpu1", "--resume", first["id"], "python3", "train.py")
    assert {path: path.stat().st_ino for path in site.ann.home.glob(".gittrack/cache/files/*/*")} == cached


def test_a_run_without_checkpoints_is_resumed_from_nothing(project: Path, track: Callable[..., Any]) -> None:
    track("run", "true")
    done = track("run", "-H", "gpu1", "--resume", "latest", "python3", "train.py")
    assert " 0 2" in done.stdout and "FOUND" not in done.stdout


def test_a_step_without_a_checkpoint_is_refused_before_anything_is_sent(
    project: Path, track: Callable[..., Any], site: Site
) -> None:
    track("run", "python3", "train.py")
    done = track("run", "-H", "gpu1", "--resume", "latest@55", "python3", "train.py", code=66)
    assert "no checkpoint at step 55" in done.stderr
    assert len(rows(track)) == 1 and not [*site.ann.home.glob(".gittrack/jobs/*")]


def test_a_job_says_from_which_run_it_starts(project: Path, track: Callable[..., Any], git: Callable[..., str]) -> None:
    track("run", "python3", "train.py")
    done = track("run", "-H", "gpu1", "--from", "latest", "python3", "train.py")
    first, second = rows(track)
    assert "RESUME None 0 2" in done.stdout
    found = facts(git, second["id"])
    assert found["origin"] == {"run": first["id"], "step": None, "how": "said"} and found["continues"] is None


def test_a_job_that_was_killed_on_its_way_still_gets_its_checkpoint(
    project: Path, track: Callable[..., Any], site: Site
) -> None:
    track("run", "python3", "train.py")
    # As if the sender had died when the files were in the cache and not yet in the job's folder.
    program = (
        "import os, sys\n"
        "from gittrack.launch.sending import placing\n"
        "put = placing.put\n"
        "def die(link, run_id, files, folder='work'):\n"
        "    os._exit(9) if folder == 'checkpoint' else put(link, run_id, files, folder)\n"
        "placing.put = die\n"
        "from gittrack.cli.main import start\n"
        "sys.exit(start(sys.argv[1:], 'linux'))\n"
    )
    argv = [sys.executable, "-c", program, "run", "-H", "gpu1", "--resume", "latest", "python3", "train.py"]
    killed = subprocess.run(argv, cwd=project, check=False, capture_output=True, text=True)
    assert killed.returncode == 9, killed.stderr
    done = track("attach", "latest")
    assert "RESUME" in done.stdout and " 2 4" in done.stdout, done.stderr


def test_naming_the_run_in_the_code_alone_says_where_it_is_to_be_named(
    project: Path, track: Callable[..., Any]
) -> None:
    track("run", "python3", "train.py")
    (project / "train.py").write_text(TRAIN.replace("gittrack.init()", "gittrack.init(resume='latest')"))
    failed = track("run", "-H", "gpu1", "python3", "train.py", code=1)
    assert "git track run -H HOST --resume latest" in failed.stderr and "no repository" in failed.stderr
    done = track("run", "-H", "gpu1", "--resume", "latest~1", "python3", "train.py")  # the command line wins
    assert "FOUND" in done.stdout


def test_a_job_of_python_resumes_a_run(
    project: Path, track: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    track("run", "python3", "train.py")
    monkeypatch.chdir(project)
    with gittrack.launch("python3 train.py", host="gpu1", resume="latest") as job:
        assert "FOUND" in "".join(job.logs(follow=True))
        assert job.wait(timeout=60) == "completed"
