"""A command that removes or changes its own record: what had come is kept, and its exit code is passed on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, until, world

SPOILS = """
import os, shutil, sys, time
import gittrack
gittrack.init().log({"loss": 0.5}, step=1)
print("begun", flush=True)
while not os.path.exists("/marks/go"):
    time.sleep(0.02)
run, journal = "/gittrack/job/run", "/gittrack/job/run/run.jsonl"
exec(sys.argv[1])
print("spoiled", flush=True)
sys.exit(3)
"""
WAYS = {
    "removed": "shutil.rmtree(run)",
    "journal removed": "os.unlink(journal)",
    "journal cut off": "open(journal, 'w').close()",
    "a folder in its place": "os.unlink(journal); os.mkdir(journal)",
    "a link in its place": "os.unlink(journal); os.symlink('/etc/passwd', journal)",
    "a link in the place of all": "os.rename(run, run + '.x'); os.symlink('/tmp', run)",
    "cuts that cannot be": "open(run + '/cuts.jsonl', 'w').close()",
}


@pytest.fixture
def lab(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        (made.repo / "spoils.py").write_text(SPOILS)
        yield made


def watched(lab: World, how: str) -> "subprocess.Popen[str]":
    """A job that spoils its record when what it had logged is here."""
    process = lab.begin("run", "-H", "gpu1", "python3", "spoils.py", how)
    until(lambda: [row for row in lab.rows() if "loss" in row["metrics"]], 60)
    lab.go()
    return process


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_what_had_come_is_kept_and_the_exit_code_is_passed_on(lab: World, how: str) -> None:
    process = watched(lab, how)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3 and out == "begun\nspoiled\n", err
    assert "with what had come of it before" in err and "Traceback" not in err
    (row,) = lab.rows()
    assert row["status"] in ("crashed", "failed") and row["exit_code"] == 3
    assert row["metrics"]["loss"]["last"] == 0.5
    if row["status"] == "crashed":
        assert "its record at its host was removed or changed" in lab.track("show").out
    assert lab.track("ps", "-q").out == ""
    lab.check_git()


@pytest.mark.parametrize("how", ["os.chmod(run, 0)", "os.chmod(journal, 0); os.chmod(run + '/cuts.jsonl', 0)"])
def test_rights_that_a_command_takes_away_are_taken_back(lab: World, how: str) -> None:
    process = watched(lab, how)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3 and out == "begun\nspoiled\n", err
    (row,) = lab.rows()
    assert (row["status"], row["exit_code"]) == ("failed", 3) and row["metrics"]["loss"]["last"] == 0.5
    assert lab.track("logs").out == "begun\nspoiled\n"
    lab.check_git()
