"""The process here is killed at any moment, again and again: the job is executed once, and its record is whole."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, kill, world

RUNS = int(os.environ.get("GITTRACK_TEST_KILLED_RUNS", "2"))  # each is killed, and its attaches, until one gets through
KILLS = 3  # of attaches to one run


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        made.go()
        yield made


def test_a_job_whose_sender_is_killed_again_and_again_is_executed_once(survived: World) -> None:
    chance = random.Random(5)
    began = time.monotonic()
    survived.track("run", "-H", "gpu1", "python3", "train.py")
    whole = time.monotonic() - began
    known = {row["id"] for row in survived.rows()}
    for number in range(RUNS):
        before = len(survived.starts())
        process = survived.begin("run", "-H", "gpu1", "python3", "train.py")
        time.sleep(whole * (number + chance.random()) / RUNS)
        kill(process)
        new = {row["id"] for row in survived.rows()} - known
        if not new:
            assert len(survived.starts()) == before
            continue
        (run_id,) = new
        for word in ("attach", "fetch", "attach")[:KILLS]:
            process = survived.begin(*((word, run_id) if word == "attach" else (word, "gpu1")))
            time.sleep(whole * chance.random())
            kill(process)
        said = survived.track("attach", run_id, code=None)
        assert said.code == 0, said
        assert len(survived.starts()) == before + 1
        survived.check_whole(run_id)
        known |= new
    assert survived.refs(survived.second()) == survived.refs()
