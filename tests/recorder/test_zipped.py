"""One zip brings the recorder to where nothing is installed."""

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from journal_reading import events, interpreters, values

from gittrack.recorder import zipped

PROGRAM = """
import argparse, sys
p = argparse.ArgumentParser(); p.add_argument("--lr", type=float); p.parse_args()
assert not [entry for entry in sys.path if "recorder" in entry]
import gittrack
assert ".zip" in gittrack.__file__
run = gittrack.init({"a": 1}); run.log({"loss": 0.5}); run.checkpoint(3, {"loss": 0.5})
"""


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return zipped.build(str(tmp_path / "recorder.zip"))


@pytest.mark.parametrize("version", interpreters())
def test_the_zip_alone_records_a_training(under: Any, run_dir: Path, archive: str, version: str) -> None:
    # an interpreter that has gittrack would use its own
    hide = "import os, sys\nsys.path[:] = [entry for entry in sys.path if not os.path.isdir(entry + '/gittrack')]\n"
    under(hide + PROGRAM, "--lr", "0.5", path=(archive,), python=interpreters()[version])
    assert values(run_dir, "argparse") == {"lr": 0.5} and values(run_dir, "code") == {"a": 1}
    assert {event["name"] for event in events(run_dir, "environment")} == {"python.json", "requirements.txt"}
    assert [line["s"] for line in events(run_dir, "m")] == [0, 3]


def test_an_environment_with_nothing_in_it_is_enough(under: Any, run_dir: Path, archive: str, bare: str) -> None:
    under(PROGRAM, "--lr", "0.5", path=(archive,), python=bare)
    assert len(events(run_dir, "m")) == 2 and len(list(run_dir.glob("*.jsonl"))) == 2


def test_a_run_that_is_resumed_cannot_be_read_and_that_is_said(
    under: Any, run_dir: Path, archive: str, bare: str
) -> None:
    code = "import gittrack\nrun = gittrack.init()\nrun.log({'a': 1})\nprint(run.resume_checkpoint())"
    assert under(code, path=(archive,), python=bare).stdout == "None\n"
    done = under(code, path=(archive,), python=bare, status=1, GITTRACK_RESUME="0" * 20)
    assert "Install gittrack in this environment" in done.stderr and len(events(run_dir, "m")) == 2


def test_outside_a_run_init_says_what_is_missing(archive: str, bare: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [bare, "-c", "import gittrack; gittrack.init()"], env={"PYTHONPATH": archive}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Install gittrack in this environment" in done.stderr


def test_the_same_version_is_the_same_bytes(tmp_path: Path, archive: str) -> None:
    again = zipped.build(str(tmp_path / "again.zip"))
    assert Path(again).read_bytes() == Path(archive).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zip", "recorder.zip"]


def test_the_zip_holds_the_recorder_and_no_more(archive: str) -> None:
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
    assert {"sitecustomize.py", "gittrack/__init__.py", "gittrack/recorder/journal.py"} <= names
    assert all(name.startswith("gittrack/recorder/") for name in names - {
        "sitecustomize.py", "gittrack/__init__.py", "gittrack/lazy.py",
    })  # fmt: skip
    assert Path(archive).stat().st_size < 60_000
