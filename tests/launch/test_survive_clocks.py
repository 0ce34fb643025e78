"""Clocks that differ by an hour: what is shown of a job is not fooled by either of them."""

import datetime
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world

HOUR = 3600


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        yield made


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_teammate_whose_clock_is_wrong_by_an_hour(survived: World, tmp_path: Path, clock: Clock, ahead: int) -> None:
    survived.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    (run_id,) = survived.jobs()
    until(lambda: survived.starts())
    began = time.time()
    wrong = clock(f"{ahead:+}")
    fetched, attached = tmp_path / "fetched", tmp_path / "attached"
    for clone in (fetched, attached):
        subprocess.run(["git", "clone", "-q", str(survived.repo), str(clone)], check=True)
    survived.track("fetch", "direct", cwd=fetched, **wrong)
    watching = survived.begin("attach", "-H", "direct", run_id, cwd=attached, **wrong)
    assert watching.stdout is not None and watching.stdout.readline() == "step 0\n"
    for clone in (fetched, attached):
        (row,) = json.loads(survived.track("ls", "--json", cwd=clone, **wrong).out)
        assert row["status"] == "running" and 0 <= row["duration"] < time.time() - began + 30, row
        started = datetime.datetime.fromisoformat(row["started"]).timestamp()
        assert -30 < time.time() + ahead - started < time.time() - began + 30, row
    survived.go()
    watching.communicate(timeout=60)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_laptop_whose_clock_is_wrong_by_an_hour(survived: World, clock: Clock, ahead: int) -> None:
    wrong = clock(f"{ahead:+}")
    assert abs(float(subprocess.check_output(["date", "+%s"], env=wrong)) - time.time() - ahead) < 60

    def row() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(survived.track("ls", "--json", **wrong).out)[-1]
        return found

    began = time.monotonic()
    survived.track("run", "-H", "gpu1", "-d", "python3", "train.py", **wrong)
    (run_id,) = survived.jobs()
    survived.track("fetch", "gpu1", **wrong)
    assert row()["status"] == "running"
    assert row()["duration"] < time.monotonic() - began + 3  # times of hosts are known to a second or two
    started = datetime.datetime.fromisoformat(row()["started"]).timestamp()
    assert -3 < time.time() + ahead - started < time.monotonic() - began + 3  # by the clock here, which shows it
    survived.go()
    survived.track("attach", run_id, **wrong)
    assert row()["status"] == "completed" and 0 < row()["duration"] < time.monotonic() - began
    survived.track("run", "true", **wrong)
    listed = json.loads(survived.track("ls", "--json", **wrong).out)
    assert [each["id"] == run_id for each in listed] == [False, True]  # the newest first, wherever they were executed
    assert survived.refs(survived.second()).items() <= survived.refs().items()
