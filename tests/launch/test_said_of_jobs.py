"""What is said of jobs: the same name for a host before and after, and what to do next where something is wrong."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world

UNKNOWN = "0" * 19 + "1"


@pytest.fixture
def lab(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        yield made


def test_a_run_is_found_by_its_host_while_it_runs_and_afterwards(lab: World) -> None:
    lab.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    found = lab.track("ls", "-q", "--where", "host=gpu1").out
    assert found and lab.rows()[0]["host"] == "gpu1"
    lab.go()
    lab.track("wait", "latest")
    assert lab.track("ls", "-q", "--where", "host=gpu1").out == found
    assert lab.rows()[0]["host"] == "gpu1"
    second = lab.second()
    assert lab.rows(second)[0]["host"] == "gpu1"
    assert "at gpu1, sent from" in " ".join(lab.track("show").out.split())


def test_a_container_of_this_machine_is_this_machine(lab: World, dockerd: Engine) -> None:
    lab.go()
    lab.track("run", "--container", "--image", lab.image, "-d", "sleep", "100", DOCKER_HOST=dockerd.host)
    assert lab.rows()[0]["host"] == os.uname().nodename
    lab.track("stop", "latest", "--grace", "0", DOCKER_HOST=dockerd.host)
    assert lab.rows()[0]["host"] == os.uname().nodename


def test_a_command_can_write_where_it_begins_though_nothing_of_the_snapshot_is_there(lab: World) -> None:
    (lab.repo / "out" / "of this").mkdir(parents=True)
    lab.track("run", "-H", "gpu1", "sh", "-c", "pwd > here", cwd=lab.repo / "out" / "of this")


@pytest.mark.parametrize("command", [["stop", "-H", "gpu1", UNKNOWN], ["exec", "-H", "gpu1", UNKNOWN, "--", "true"]])
def test_a_run_that_a_host_does_not_know_is_said_to_be_unknown(lab: World, command: list[str]) -> None:
    said = lab.track(*command, code=66).err
    assert "gpu1 has no job of run 0000000" in said and "git track host ls gpu1" in said


def test_a_job_that_is_over_is_not_asked_for_again(lab: World) -> None:
    lab.go()
    lab.track("run", "-H", "gpu1", "python3", "train.py")
    lab.line.down()  # its host need not be there
    assert "is not running any more" in lab.track("stop", "latest").err


def test_an_unfinished_run_of_the_same_command_is_named_when_a_new_one_begins(lab: World) -> None:
    command = ["-d", "python3", "train.py"]
    lab.track("run", "-H", "gpu1", *command)
    refused = lab.track("run", "-H", "gpu1", "--env", "NOT_SET_HERE", *command, code=2)
    assert "unfinished" not in refused.err
    assert "is unfinished at gpu1" in lab.track("run", "-H", "gpu1", *command).err
    lab.go()


def test_a_secret_that_would_be_found_everywhere_is_refused(lab: World) -> None:
    said = lab.track("run", "-H", "gpu1", "--secret", "PIN", "python3", "train.py", code=2, PIN="12").err
    assert "the secret PIN is too short" in said and "--env PIN" in said and "12 " not in said
    assert lab.rows() == []
    done = lab.track("run", "-H", "gpu1", "--env", "API_KEY=1", "echo", "0 1 2")
    assert done.out == "0 1 2\n" and lab.track("logs").out == "0 1 2\n"


def test_a_fetch_that_is_cut_off_says_how_it_goes_on(lab: World) -> None:
    lab.go()
    lab.track("run", "-H", "direct", "-d", "python3", "train.py")
    (run_id,) = lab.jobs()
    until(lambda: lab.has_ended(run_id))
    lab.line.break_after(60_000)
    said = lab.track("fetch", "gpu1", code=88).err
    lab.line.mend()
    assert "`git track fetch gpu1` goes on" in said
    lab.track("fetch", "gpu1")
    lab.check_whole(run_id)


def test_a_network_can_be_chosen(lab: World, dockerd: Engine) -> None:
    lab.track("run", "-H", "gpu1", "--network", "none", "-d", "python3", "train.py")
    (run_id,) = lab.jobs()
    assert dockerd.docker("inspect", "-f", "{{.HostConfig.NetworkMode}}", f"gittrack-{run_id}") == "none"
    lab.go()
    lab.track("wait", "latest")
    assert json.loads(lab.track("show", "--json").out)["status"]["status"] == "completed"
    assert "no name of a network" in lab.track("run", "-H", "gpu1", "--network", "a b", "true", code=2).err
    assert "is for a run in a container" in lab.track("run", "--network", "none", "true", code=2).err


def test_what_is_known_of_a_job_is_said_to_be_as_old_as_it_is(lab: World) -> None:
    lab.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = lab.jobs()
    said = lab.track("logs").err
    assert "is at gpu1: nothing that it printed had come when that was last asked" in said
    assert f"`git track logs -f {run_id[:7]}` asks it again" in said
    assert lab.track("exec", "latest", "--", "echo", "there").out == "there\n"
    lab.go()
    until(lambda: lab.has_ended(run_id), 60)
    lab.engine.docker("wait", f"gittrack-{run_id}")
    said = lab.track("exec", "latest", "--", "true", code=66).err
    assert "is not running any more at gpu1" in said and f"`git track attach {run_id[:7]}` brings" in said
    lab.track("wait", "latest")
    assert "is at gpu1" not in lab.track("logs").err
    assert f"`git track show {run_id[:7]}`" in lab.track("exec", "latest", "--", "true", code=66).err
