"""One run of a long list is found by the index, which may be absent, old or damaged: that costs time and no answer."""

import os
from pathlib import Path

import builder
import pytest

from gittrack.core import archive
from gittrack.git import objects
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, archiving, list_index
from gittrack.runs.annotations import Author
from gittrack.runs.index import open_index

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")
CODE = "c" * 40


def gone(store: Repository) -> None:
    """Records of the archives are not here: only lists are, as after a pull."""
    found = store.refs("refs/track/archive/")
    store.update_refs([RefChange(ref, tip, None) for ref, tip in found.items() if not ref.endswith("/list")])


def refreshed(store: Repository) -> None:
    table = open_index(store.paths)
    table.refresh(lambda: store)
    assert table.problem is None
    table.close()


def spoil(store: Repository, how: str) -> None:
    path = Path(store.paths.common_dir, "track", "index.sqlite")
    if how == "absent":
        path.unlink()
    elif how == "garbage":
        path.write_bytes(os.urandom(40_000))
    elif how == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("how", ["fresh", "old", "absent", "garbage", "half"])
def test_a_run_is_found_in_a_list_whatever_the_index_is_like(store: Repository, how: str) -> None:
    ids = builder.make_runs(store, 12)
    tips = store.refs("refs/track/runs/")
    archiving.archive(store, ids[:6], ANN)
    refreshed(store)
    archiving.archive(store, ids[6:], ANN)
    if how != "old":
        refreshed(store)
    gone(store)
    spoil(store, how)
    for run_id in ids:
        place = archives.find(store, run_id)
        assert place is not None and place.tip == tips[f"refs/track/runs/{run_id[-2:]}/{run_id}"]
    assert archives.find(store, "0" * 20) is None
    assert {line.id for _, line in archives.listed(store, [*ids, "0" * 20])} == set(ids)


@pytest.mark.parametrize("how", ["fresh", "old", "absent"])
def test_the_lists_with_a_snapshot_are_found(store: Repository, how: str) -> None:
    made = [builder.journal(n, {}, [0.5], snapshot=CODE if n == 1 else None) for n in range(2)]
    ids = builder.write_runs(store, made)
    if how == "old":
        refreshed(store)
    archiving.archive(store, ids, ANN)
    if how == "fresh":
        refreshed(store)
    (ref,) = archives.lists(store)
    assert archives.lists_with_code(store, CODE) == [ref]
    assert archives.lists_with_code(store, "d" * 40) == []


def test_of_a_list_that_the_index_has_read_one_segment_is_read(store: Repository) -> None:
    writer, count, run = "a" * 16, 40, {"created": "2026-01-01T00:00:00.000000Z"}
    made: list[objects.Object] = [objects.blob(b"gittrack 1\n")]
    files = {"format": objects.Entry(objects.FILE, made[0].oid)}
    values = {"run": run, "status": {"status": "completed"}, "params": {}, "summary": {}}
    for number in range(count):
        run_id = builder.run_id(number)
        line = archive.encode(run_id, "1" * 40, "2" * 40, 1, None, 2, {**values, "run": {**run, "id": run_id}})
        made.append(objects.blob(line))
        files[f"index/{number // 32:03d}/{number % 32:02d}.jsonl"] = objects.Entry(objects.FILE, made[-1].oid)
    trees = objects.nested(files)
    commit = objects.commit(trees[-1].oid, [], archives.AUTHOR, 0, "Archive")
    store.write([*made, *trees, commit])
    ref = f"refs/track/archive/{writer}/0/list"
    store.update_refs([RefChange(ref, None, commit.oid)])
    refreshed(store)
    there = archives.segments_of_lists(store)
    assert len(there) == count
    found = list_index.with_runs(store.paths, there, [builder.run_id(7)])
    assert found == {there[7]: frozenset([builder.run_id(7)])}
    assert [line.id for _, line in archives.listed(store, [builder.run_id(7)])] == [builder.run_id(7)]


def test_a_table_that_is_being_written_is_not_waited_for_long(store: Repository) -> None:
    ids = builder.make_runs(store, 2)
    archiving.archive(store, ids, ANN)
    refreshed(store)
    gone(store)
    table = open_index(store.paths)
    table._db.execute("BEGIN EXCLUSIVE")
    assert archives.find(store, ids[0]) is not None  # and nobody has let go of the table
    table.close()
