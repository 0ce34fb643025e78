"""`git track host`: what a host has, what gittrack left there, and how it goes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rig_docker import Engine


@pytest.fixture
def ran(repo: Path, track: Callable[..., Any], dockerd: Engine, python_image: str) -> Callable[..., Any]:
    """`track` beside an engine at which a job has ended, with its results in this clone."""
    (repo / ".gitignore").write_text("data/\n")
    (repo / "data").mkdir()
    (repo / "data" / "set.csv").write_text("x" * 100_000)
    (repo / "gittrack.yaml").write_text("inputs: [data/]\nhosts: {gpu1: {host: ann@gpu1.example.org, gpus: all}}\n")

    def call(*args: str, **more: Any) -> Any:
        return track(*args, DOCKER_HOST=dockerd.host, **more)

    read = "print(len(open('data/set.csv').read()))"
    assert call("run", "--container", "--image", python_image, "python3", "-c", read).stdout == "100000\n"
    return call


def test_a_job_whose_results_are_home_has_left_its_record_alone(ran: Callable[..., Any], sealed: Path) -> None:
    (job,) = json.loads(ran("host", "ls", "here", "--json").stdout)
    assert (job["state"], job["home"], job["work"]) == ("over", True, 0)
    assert "in a clone" in ran("host", "ls", "here").stdout
    folder = sealed / ".gittrack" / "jobs" / job["id"]
    assert not (folder / "work").exists() and not (folder / "env").exists()


def test_what_is_there_is_weighed(ran: Callable[..., Any]) -> None:
    said = json.loads(ran("host", "df", "here", "--json").stdout)
    assert said["inputs"] >= 100_000 and said["code"] > 0 and said["work"] == 0
    assert said["total"] == said["jobs"] + said["code"] + said["inputs"] + said["leftovers"]
    assert "inputs" in ran("host", "df", "here").stdout


def test_prune_says_what_it_would_remove_asks_and_removes(ran: Callable[..., Any], sealed: Path) -> None:
    assert "nothing is to be removed" in ran("host", "prune", "here").stderr
    planned = ran("host", "prune", "here", "--all", "--dry-run").stdout
    assert "job" in planned and "code" in planned and "inputs" in planned
    jobs = sealed / ".gittrack" / "jobs"
    assert len(list(jobs.iterdir())) == 1
    assert "--yes" in ran("host", "prune", "here", "--all", code=2).stderr  # nobody could be asked
    assert len(list(jobs.iterdir())) == 1
    assert "removed" in ran("host", "prune", "here", "--all", "--yes").stdout
    assert list(jobs.iterdir()) == [] and list((sealed / ".gittrack" / "repos").iterdir()) == []
    assert ran("ls", "-q").stdout != ""  # the run is in the clone


def test_helpers_that_nobody_owns_any_more_go_when_they_are_an_hour_old(
    ran: Callable[..., Any], dockerd: Engine, python_image: str, tmp_path: Path
) -> None:
    labels = ["--label", "gittrack=1", "--label", "gittrack.helper=1"]
    left = dockerd.docker("create", *labels, python_image, "true")
    working = dockerd.docker("run", "-d", *labels, "--network", "none", python_image, "sleep", "600")
    try:
        assert left not in ran("host", "prune", "here", "--json", "--dry-run").stdout
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "date").write_text("#!/bin/sh\nexec /bin/date -d '+2 hours' \"$@\"\n")
        (tmp_path / "bin" / "date").chmod(0o755)
        later = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        ran("host", "prune", "here", "--yes", **later)
        there = dockerd.docker("ps", "-aq", "--no-trunc", "--filter", "label=gittrack.helper").split()
        assert left not in there and working in there
        (tmp_path / "bin" / "date").write_text("#!/bin/sh\nexec /bin/date -d '+25 hours' \"$@\"\n")
        planned = json.loads(ran("host", "prune", "here", "--json", "--dry-run", **later).stdout)
        assert (working, "helper") in [(each["name"], each["kind"]) for each in planned["removals"]]
    finally:
        dockerd.docker("rm", "-f", left, working, code=None)


def test_check_says_what_the_host_is_like(ran: Callable[..., Any], sealed: Path) -> None:
    assert "here: docker " in ran("host", "check", "here").stdout
    said = json.loads(ran("host", "check", "here", "--json").stdout)
    assert said["folder"] == str(sealed / ".gittrack") and said["cpus"] > 0 and "git" in said["has"]


def test_hosts_of_the_settings_are_listed(ran: Callable[..., Any]) -> None:
    assert "ann@gpu1.example.org" in ran("host", "ls").stdout
    assert "gpu1" in json.loads(ran("host", "ls", "--json").stdout)
    assert "no host is named" in ran("host", "df", code=2).stderr
    for wrong in (["ls", "--all"], ["check", "gpu1", "--dry-run"], ["df", "gpu1", "--days", "3"]):
        assert "is for prune" in ran("host", *wrong, code=2).stderr


def test_a_host_that_is_not_there_is_said_to_be_so(ran: Callable[..., Any]) -> None:
    assert ran("host", "check", "nobody@127.0.0.1:9", code=86).stderr.startswith("error: ")
