"""Others read, list and archive the same runs while they are archived and unarchived: nobody misses one."""

import subprocess
import sys
import time
from pathlib import Path

import builder

from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import archives, archiving, reader, unarchiving
from gittrack.runs.annotations import Author
from gittrack.runs.index import open_index

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")
HERE = str(Path(builder.__file__).parent)
READER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.runs import reader
from gittrack.runs.index import open_index
ids = sys.argv[3:]
print("up", flush=True)
rounds = 0
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    store = builder.opened(Path(sys.argv[1]))
    index = open_index(store.paths)
    for run_id in ids:
        record = reader.read(store, run_id)
        assert record.id == run_id
        assert len(reader.series(store, record, "loss")) == 5, run_id
    index.refresh(lambda: store)
    rows = {row.id for row in index.rows()}
    assert rows == set(ids), (sorted(set(ids) - rows), index.problem)
    index.close()
    store.close()
    rounds += 1
    Path(sys.argv[1], "rounds").write_text("x" * rounds)
"""
ARCHIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.runs import archiving
from gittrack.runs.annotations import Author
store = builder.opened(Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.readline()
done = archiving.archive(store, sys.argv[3:], Author("Ann <ann@example.org>", builder.T0, "archive"))
print(len(done.done))
"""


def start(program: str, repo: Path, ids: list[str]) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(repo), HERE, *ids],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    return process


def test_a_reader_and_a_table_miss_no_run_while_all_are_archived_and_brought_back(
    repo: Path, store: Repository
) -> None:
    ids = builder.make_runs(store, 12)
    index = open_index(store.paths)
    index.refresh(lambda: store)
    index.close()
    reading = start(READER, repo, ids)
    until, rounds = time.monotonic() + 6, repo / "rounds"
    while reading.poll() is None and (time.monotonic() < until or not rounds.exists() or rounds.stat().st_size < 3):
        archiving.archive(store, ids[:6], ANN)
        archiving.archive(store, ids[6:], ANN)
        unarchiving.unarchive(store, ids, ANN)
    _, err = reading.communicate("stop\n", timeout=60)
    assert reading.returncode == 0, err


def test_what_was_opened_before_is_read_to_its_end(store: Repository) -> None:
    ids = builder.make_runs(store, 3)
    records = [reader.read(store, run_id) for run_id in ids]
    archiving.archive(store, ids, ANN)
    assert [len(reader.series(store, record, "loss")) for record in records] == [5, 5, 5]
    archived = [reader.read(store, run_id) for run_id in ids]
    unarchiving.unarchive(store, ids, ANN)
    assert [len(reader.series(store, record, "loss")) for record in archived] == [5, 5, 5]
    assert [record.facts for record in archived] == [record.facts for record in records]


def test_processes_that_archive_the_same_runs_at_once_converge(repo: Path, store: Repository) -> None:
    ids = builder.make_runs(store, 30)
    processes = [start(ARCHIVER, repo, ids[at : at + 20]) for at in (0, 5, 10, 0)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    done = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, done
    assert sum(int(out) for out, _ in done) == 30
    assert store.refs(layout.RUNS) == {}
    lines = [line.id for tip in archives.lists(store).values() for line in archives.lines(store, tip)]
    assert sorted(lines) == sorted(ids)
    assert all(archives.find(store, run_id) for run_id in ids)
    subprocess.run(["git", "fsck", "--strict"], cwd=repo, check=True, capture_output=True)
