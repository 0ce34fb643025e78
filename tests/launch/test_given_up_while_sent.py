"""A job that somebody else ends, or goes on with, while it is being sent."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import CONSOLE, World, killed_after, until, world

# `git track`, waiting for a file before a step.
HELD = """
import pathlib, sys, time
from gittrack.launch.jobs import steps
name, reached, go = sys.argv[1], *map(pathlib.Path, sys.argv[2:4])
def held(act):
    def wait(launch):
        reached.touch()
        while not go.exists():
            time.sleep(0.02)
        return act(launch)
    return wait if act.__name__ == name else act
steps.STEPS = tuple(step._replace(acts=tuple(map(held, step.acts))) for step in steps.STEPS)
from gittrack.cli.main import start
sys.exit(start(sys.argv[4:], "linux"))
"""

# It fills no work tree before it is let.
SLOW_GIT = """#!/bin/sh
while [ "$1" = checkout-index ] && ! [ -e "${0%/bin/git}/go" ]; do sleep 0.05; done
exec /usr/bin/git "$@"
"""


class Held:
    """`run -H` of the training, which waits before it does a step."""

    def __init__(self, world: World, folder: Path, step: str) -> None:
        self._reached, self._go = folder / "reached", folder / "go"
        argv = [sys.executable, "-c", HELD, step, str(self._reached), str(self._go)]
        self._process = subprocess.Popen(
            [*argv, "run", "-H", "gpu1", "python3", "train.py"], cwd=world.repo, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(self._reached.exists)

    def go_on(self) -> tuple[int, str, str]:
        """Exit code, output, and what it said."""
        self._go.touch()
        out, err = self._process.communicate(timeout=90)
        return self._process.returncode, out, err


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        made.go()
        yield made


@pytest.mark.parametrize("step", ["_send_code", "_create", "_start"])
def test_a_job_that_is_stopped_while_it_is_sent_is_never_started(survived: World, tmp_path: Path, step: str) -> None:
    held = Held(survived, tmp_path, step)
    said = survived.track("stop", "latest").err
    assert "was never started; nothing is left of it" in said
    code, out, err = held.go_on()
    assert (code, out) == (66, "") and "was given up while it was sent" in err
    assert survived.starts() == [] and survived.jobs() == [] and survived.rows() == []


def test_who_attaches_to_a_job_while_its_work_tree_is_made_waits_for_that(survived: World) -> None:
    home = survived.site.ann.home
    (home / "bin").mkdir()
    (home / "bin" / "git").write_text(SLOW_GIT)
    (home / "bin" / "git").chmod(0o755)
    (home / ".bashrc").write_text("PATH=$HOME/bin:$PATH\n")
    begun = survived.begin("run", "-H", "gpu1", "python3", "train.py")
    until(lambda: [*survived.folder.glob("jobs/*/index.new")])
    attached = survived.begin("attach", "latest")
    assert attached.stderr is not None
    until(lambda: "another process is sending it" in attached.stderr.readline())
    (home / "go").touch()
    for each in (begun, attached):
        out, err = each.communicate(timeout=90)
        assert (each.returncode, out) == (0, CONSOLE), err
    assert len(survived.starts()) == 1


def test_who_goes_on_with_a_job_has_the_variables_that_it_is_to_get(survived: World) -> None:
    killed_after(survived, "sent", "--env", "SPEED", SPEED="9")
    refused = survived.track("attach", "latest", code=2)
    assert "--env SPEED: the variable is not set here" in refused.err
    assert survived.track("attach", "latest", SPEED="9").out == CONSOLE
