"""Whether a run has a ref or is in an archive is nothing that a command lets one feel."""

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import builder
import pytest

import gittrack
from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import archiving
from gittrack.runs.annotations import Author

TRAINING = """
import gittrack, pathlib, random
run = gittrack.init(params={"lr": 0.1, "nested": {"a": [1, 2]}}, goals={"loss": "minimize"})
for step in range(4):
    loss = FACTOR / (1 + step)
    print("step", step, "loss", loss)
    run.log({"loss": loss}, step=step)
    if step % 2:
        pathlib.Path("weights.json").write_text('{"step": %d}' % step)
        pathlib.Path("big.bin").write_bytes(random.Random(FACTOR * 10 + step).randbytes(2_300_000))
        run.checkpoint(step=step, metrics={"loss": loss}, path=["weights.json", "big.bin"],
                       primary_metric=("loss", "minimize"))
run.finish()
"""
READING = """
ls
ls -q
ls --csv
ls --where "loss < 1"
ls --where "status = completed" --json
show first
show first --json
show first@3
show first@best
show first@1 --json
logs first
artifacts first
artifacts first --json
cat first@3:weights.json
cat first:train.py
cat first:notes.txt
compare first second
compare first second --format json
compare first second --at step=1
compare first second --plot loss
diff first second
diff first second --json
diff first second --stat
checkout first --dry-run
checkout first --dry-run --json
checkout first@1 --artifacts --dry-run -o elsewhere
du --json
gc --dry-run --json
store status --json
"""


@pytest.fixture
def two(repo: Path, track: Callable[..., Any]) -> list[str]:
    """Runs of two work trees that were not committed, with checkpoints, small files and large ones."""
    (repo / "notes.txt").write_text("not committed\n")
    for name, factor in (("first", 1), ("second", 2)):
        (repo / "train.py").write_text(TRAINING.replace("FACTOR", str(factor)))
        track("run", "--name", name, sys.executable, "train.py")
    track("tag", "first", "good")
    return str(track("ls", "-q").stdout).split()


def archive(repo: Path) -> Repository:
    store = builder.opened(repo)
    ids = [ref.rpartition("/")[2] for ref in store.refs(layout.RUNS)]
    done = archiving.archive(store, ids, Author("Ann <ann@example.org>", time.time(), "git track archive"))
    assert sorted(done.archived) == sorted(ids)
    assert store.refs(layout.RUNS) == store.refs(layout.CODE) == {}
    return store


def prune(repo: Path) -> None:
    """What git may do one day: nothing stays that no ref reaches."""
    for args in (["reflog", "expire", "--expire=now", "--all"], ["gc", "--prune=now", "-q"], ["fsck"]):
        subprocess.run(["git", "-C", str(repo), *args], check=True, capture_output=True)


def normal(args: tuple[str, ...], text: str) -> Any:
    """What is said, but for `archived` itself, for how long things took just now, and for what a run's ref was for."""
    if not {"--json", "json"} & set(args):
        lines = (re.sub(r"\b(\d+ ?s(econds?)?( ago)?|now)\b", "", line) for line in text.splitlines())
        return [line.split() for line in lines if "git log --grep" not in line and "unarchive" not in line]
    return _without(json.loads(text))


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in ("archived", "git", "young")}
    return [_without(item) for item in value] if isinstance(value, list) else value


def test_all_reading_commands_say_the_same_of_an_archived_run(
    repo: Path, two: list[str], call: Callable[..., str]
) -> None:
    commands = [tuple(shlex.split(line)) for line in READING.split("\n") if line]
    before = {args: call(*args) for args in commands}
    archive(repo).close()
    prune(repo)
    for args in commands:
        assert normal(args, call(*args)) == normal(args, before[args]), args


def test_the_files_and_the_code_of_an_archived_run_come_back(
    repo: Path, two: list[str], call: Callable[..., str], tmp_path: Path
) -> None:
    call("checkout", "first@3", "-o", str(tmp_path / "before"))
    archive(repo).close()
    prune(repo)
    call("checkout", "first@3", "-o", str(tmp_path / "after"))

    def tree(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert tree(tmp_path / "after") == tree(tmp_path / "before") != {}
    assert "notes.txt" in tree(tmp_path / "after")


def test_a_run_goes_on_from_an_archived_one(repo: Path, two: list[str], track: Callable[..., Any]) -> None:
    archive(repo).close()
    prune(repo)
    track("run", "--resume", "first@3", "--name", "third", sys.executable, "train.py")
    row = json.loads(track("show", "third", "--json").stdout)
    assert row["run"]["continues"] == {"run": json.loads(track("show", "first", "--json").stdout)["id"], "step": 3}


def test_cleaning_up_keeps_what_archived_runs_need(repo: Path, two: list[str], call: Callable[..., str]) -> None:
    archive(repo).close()
    call("gc", "--grace", "0", "--yes")
    call("checkout", "first@3", "--artifacts", "-o", "elsewhere")
    assert (repo / "elsewhere" / "big.bin").stat().st_size == 2_300_000
    call("rm", "first", "--artifacts")
    freed = json.loads(call("gc", "--grace", "0", "--yes", "--json"))
    assert freed["bytes"] > 0
    call("checkout", "second@3", "--artifacts", "-o", "other")


def test_python_sees_no_difference(repo: Path, two: list[str], call: Callable[..., str], monkeypatch: Any) -> None:
    monkeypatch.chdir(repo)

    def seen() -> Any:
        found = gittrack.runs()
        return [
            (run.id, run.name, dict(run.params), run.status, run.snapshot, run.metrics("loss").tolist())
            for run in found
        ]

    before = seen()
    archive(repo).close()
    prune(repo)
    assert seen() == before != []


def test_the_git_commands_that_show_prints_work_for_an_archived_run(
    repo: Path, two: list[str], call: Callable[..., str]
) -> None:
    archive(repo).close()
    prune(repo)
    shown = re.search(r"git show (\w+):FILE", call("show", "first"))
    assert shown
    done = subprocess.run(["git", "-C", str(repo), "show", f"{shown[1]}:notes.txt"], capture_output=True, text=True)
    assert done.stdout == "not committed\n"
    assert "git track unarchive" in call("show", "first@3")
