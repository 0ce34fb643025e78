"""When a run has ended and there are hundreds with refs, the older ones are archived by a process nobody waits for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.core import codec, layout
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange, Repository
from gittrack.record import archiver, processes
from gittrack.runs import archives, due, operations, writer

Track = Callable[..., object]


@pytest.fixture
def store(repo: Path) -> Repository:
    return open_repository(discover(str(repo), os.environ), os.environ)


def copies(store: Repository, track: Track, count: int) -> None:
    """As many runs of this clone as that, out of one that was recorded: other ids, all else the same."""
    track("run", "true", GITTRACK_AUTOLOG="false")
    (ref,) = store.refs(layout.RUNS)
    commit = objects.parse_commit(store.read(store.refs(layout.RUNS)[ref])[1])
    entries = objects.parse_tree(store.read(commit.tree)[1])
    facts = codec.loads(store.read(entries["run.json"].oid)[1])
    assert facts["writer"] == writer.known(store.paths)
    made: list[objects.Object] = []
    changes = []
    for number in range(count):
        run_id = f"{number:020x}"
        blob = objects.blob(codec.dumps({**facts, "id": run_id}))
        tree = objects.tree({**entries, "run.json": objects.Entry(objects.FILE, blob.oid)})
        tip = objects.commit(tree.oid, [], commit.author, commit.committed, commit.message)
        made += [blob, tree, tip]
        changes.append(RefChange(layout.run_ref(run_id), None, tip.oid))
    store.write(made)
    store.update_refs(changes)


def archived(store: Repository, seconds: float = 60) -> int:
    """How many runs the archive has when all refs that may go are gone."""
    until = time.monotonic() + seconds
    while len(store.refs(layout.RUNS)) > 10 and time.monotonic() < until:
        time.sleep(0.05)
    return len(archives.archived(store))


def test_old_runs_are_archived_after_a_command(repo: Path, store: Repository, track: Track) -> None:
    copies(store, track, due.BACKGROUND)
    track("run", "true")
    assert archived(store) == due.BACKGROUND + 2 - 10


def test_old_runs_are_archived_after_a_long_training(repo: Path, store: Repository, track: Track) -> None:
    copies(store, track, due.BACKGROUND)
    (repo / "train.py").write_text(
        "import gittrack, time\nfrom gittrack.record import assistant\nassistant.DELAY = 0.0\n"
        "run = gittrack.init()\nrun.checkpoint(step=1, metrics={'loss': 1.0})\n"
        "while not assistant._newest._process: time.sleep(0.01)\n"
    )
    subprocess.run([sys.executable, "train.py"], cwd=repo, check=True)
    assert archived(store) == due.BACKGROUND + 2 - 10


@pytest.mark.parametrize("setting", ["archive: false\n", "archive: 500\n"])
def test_the_setting_keeps_refs(repo: Path, store: Repository, track: Track, setting: str) -> None:
    copies(store, track, due.BACKGROUND)
    (repo / "gittrack.yaml").write_text(setting)
    archiver._archive(store.paths)
    assert archives.lists(store) == {}
    (repo / "gittrack.yaml").unlink()
    archiver._archive(store.paths)
    assert len(archives.archived(store)) == due.BACKGROUND + 1 - 10
    assert [one.command for one in operations.log(store) if one.outcome == operations.DONE][-1] == due.COMMAND


def test_archivers_that_are_started_together_archive_once(repo: Path, store: Repository, track: Track) -> None:
    copies(store, track, due.BACKGROUND)
    started = [processes.start("archiver", [], store.paths) for _ in range(4)]
    assert [process.wait(60) for process in started if process] == [0, 0, 0, 0]
    assert len(archives.archived(store)) == due.BACKGROUND + 1 - 10
    assert [one.command for one in operations.log(store)].count(due.COMMAND) == 1
