"""Values of secrets are in one file at the host while the job needs them, and nowhere else, neither there nor here."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

PHRASE = "correct horse #=$(battery)\n'staple'"
GIVEN = "given-on-the-command-line"
SCRIPT = """
import os, pathlib, sys, time
print("begun", os.environ["PHRASE"] != "", flush=True)
print(os.environ["PHRASE"], os.environ["API_KEY"], flush=True)
print({"phrase": os.environ["PHRASE"]}, flush=True)
for line in os.environ["PHRASE"].splitlines():
    print("line", line, flush=True)
while len(sys.argv) > 1 and not pathlib.Path("/gittrack/job/go").exists():
    time.sleep(0.02)
"""
Track = Callable[..., Any]


@pytest.fixture
def project(
    repo: Path, site: Site, dockerd: Engine, python_image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    )
    (repo / "train.py").write_text(SCRIPT)
    monkeypatch.setenv("PHRASE", PHRASE)
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def launch(track: Track, *more: str) -> None:
    track("run", "-H", "gpu1", *more, "--secret", "PHRASE", "--env", f"API_KEY={GIVEN}", "python3", "train.py", "wait")


def job_of(site: Site) -> Path:
    (job,) = (site.ann.home / ".gittrack/jobs").iterdir()
    return job


def holders(*folders: Path) -> set[str]:
    """Names of files that have one of the values."""
    values = [PHRASE.encode(), PHRASE.splitlines()[0].encode(), GIVEN.encode()]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path.name for path in files if any(value in path.read_bytes() for value in values)}


def follow(project: Path) -> None:
    """Until the command has said its word."""
    following = subprocess.Popen(["git-track", "logs", "-f"], cwd=project, stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None and "begun" in following.stdout.readline()
    following.kill()
    following.communicate()


def test_while_a_job_goes_on_its_secrets_are_in_one_file_there(
    project: Path, track: Track, site: Site, dockerd: Engine
) -> None:
    launch(track, "-d")
    follow(project)
    assert holders(site.ann.home) == {"env"}
    assert (job_of(site) / "env").stat().st_mode & 0o777 == 0o600
    seen = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in seen.splitlines() if "PHRASE=" not in line]  # our own, and the command's
    assert not [line for line in lines if GIVEN in line or "correct horse" in line]
    assert GIVEN not in dockerd.docker("inspect", f"gittrack-{job_of(site).name}")
    for path in (project / ".git/track").rglob("away.json"):
        assert path.stat().st_mode & 0o777 == 0o600  # what was given with --env stands in it
    assert holders(project / ".git") <= {"away.json"}


@pytest.mark.parametrize("how", ["attach", "stop", "fetch", "wait"])
def test_nothing_of_them_is_left_when_the_results_are_home(
    project: Path, track: Track, site: Site, dockerd: Engine, how: str
) -> None:
    launch(track, "-d")
    follow(project)
    job = job_of(site)
    if how != "stop":
        (job / "go").touch()
        dockerd.docker("wait", f"gittrack-{job.name}", code=None)
    track(*{"fetch": ["fetch", "gpu1"], "stop": ["stop", "latest"]}.get(how, [how, "latest"]), code=None)
    assert track("ps").stdout == "" or "no run" in track("ps").stdout
    assert holders(site.ann.home, project / ".git") == set()
    logs = track("logs").stdout
    assert "redacted" in logs and not [word for word in ("battery", "staple", GIVEN) if word in logs]
    assert dockerd.docker("ps", "-aq", "--filter", f"name=gittrack-{job.name}") == ""  # its console is in its log
    assert not (job / "env").exists() and not (job / "work").exists() and (job / "run").exists()


def test_jobs_that_were_given_up_leave_nothing(project: Path, track: Track, site: Site) -> None:
    track("run", "-H", "gpu1", "--image", "no.such/image", "--secret", "PHRASE", "true", code=87)
    assert holders(site.ann.home, project / ".git") == set()
