"""The index of runs that are in archives: each run once, whatever lists tell of it, and nothing read twice."""

import os
from collections.abc import Callable
from pathlib import Path

import builder
import pytest
import shelf

from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import indexing_lists
from gittrack.runs import row as rows_
from gittrack.runs.index import Index, open_in_memory
from gittrack.runs.row import Row

Fresh = Callable[[], Index]
OTHER = "b" * 16


def list_ref(writer: str = shelf.WRITER) -> str:
    return layout.archive_ref(writer, 0, "list")


def told(index: Index) -> list[Row]:
    return [row._replace(archived=False) for row in index.rows(deleted=True)]


def is_what_a_new_one_says(store: Repository, index: Index) -> bool:
    new = open_in_memory(store.paths)
    new.refresh(lambda: store)
    try:
        return [*map(rows_.encode, index.rows(deleted=True))] == [*map(rows_.encode, new.rows(deleted=True))]
    finally:
        new.close()


def drop(store: Repository, *refs: str) -> None:
    there = store.refs()
    store.update_refs([RefChange(ref, there[ref], None) for ref in refs])


def test_an_archived_run_has_the_same_row_as_before(store: Repository, fresh: Fresh) -> None:
    ids = builder.make_runs(store, 5)
    before = told(fresh())
    shelf.put(store, ids[:3])
    index = fresh()
    assert told(index) == before
    assert [row.archived for row in index.by_id(ids)] == [True, True, True, False, False]
    assert is_what_a_new_one_says(store, index)


def test_values_that_json_cannot_say_come_through_a_list(store: Repository, fresh: Fresh) -> None:
    params = {"x": float("-inf"), "raw": b"\xff", "$": {"$": 1}, "name": "é"}
    ids = builder.write_runs(store, [builder.journal(0, params, [0.5, float("nan")])])
    shelf.put(store, ids)
    row = fresh().rows()[0]
    assert row.params == params
    assert row.metrics["loss"]["last"] != row.metrics["loss"]["last"]


def test_a_run_in_two_lists_is_there_once_and_stays_when_one_goes(store: Repository, fresh: Fresh) -> None:
    ids = builder.make_runs(store, 3)
    shelf.put(store, ids, refs=True)
    shelf.put(store, ids[:2], OTHER)
    drop(store, layout.run_ref(ids[2]))
    assert fresh().count() == 3
    drop(store, list_ref())
    assert {row.id for row in fresh().rows()} == set(ids[:2])
    drop(store, list_ref(OTHER))
    assert fresh().rows() == []


def test_the_ref_says_what_a_run_is_and_the_list_says_it_when_that_has_gone(store: Repository, fresh: Fresh) -> None:
    ids = builder.make_runs(store, 1)
    shelf.put(store, ids, refs=True)
    ref = layout.run_ref(ids[0])
    old = store.refs()[ref]
    files = builder.files_of(store, old)
    files["status.json"] = files["status.json"].replace(b'"completed"', b'"crashed"')
    builder.record(store, files, ref, old)
    row = fresh().rows()[0]
    assert (row.status, row.archived) == ("crashed", False)
    drop(store, ref)
    index = fresh()
    assert (index.rows()[0].status, index.rows()[0].archived) == ("completed", True)
    assert is_what_a_new_one_says(store, index)


def test_a_run_that_comes_back_from_an_archive_is_loose_again(store: Repository, fresh: Fresh) -> None:
    ids = builder.make_runs(store, 2)
    tips = {run_id: store.refs()[layout.run_ref(run_id)] for run_id in ids}
    shelf.put(store, ids)
    assert all(row.archived for row in fresh().rows())
    store.update_refs([RefChange(layout.run_ref(ids[0]), None, tips[ids[0]])])
    assert [row.archived for row in fresh().by_id(ids)] == [False, True]


def test_a_list_that_grew_is_read_from_where_it_was_read(
    store: Repository, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = builder.make_runs(store, 6)
    parts = shelf.lines(store, ids)
    drop(store, *(layout.run_ref(one) for one in ids))
    shelf.write_list(store, [b"".join(parts[:2]), parts[2]])
    assert fresh().count() == 3
    read: list[str] = []
    whole = indexing_lists._read

    def counted(repo: Repository, pending: indexing_lists._Pending) -> object:
        read.extend(f"{segment.number}" for segment in pending.added)
        return whole(repo, pending)

    monkeypatch.setattr(indexing_lists, "_read", counted)
    shelf.write_list(store, [b"".join(parts[:2]), b"".join(parts[2:4]), b"".join(parts[4:])])
    index = fresh()
    assert index.count() == 6
    assert read == ["1", "2"]
    assert is_what_a_new_one_says(store, index)


def test_long_lists_are_read_in_several_rounds_and_no_run_is_lost(
    store: Repository, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing_lists, "ROUND", 1)
    ids = builder.make_runs(store, 7)
    shelf.put(store, ids, at_once=2)
    assert {row.id for row in fresh().rows()} == set(ids)


def test_a_purged_run_is_not_there_any_more(store: Repository, fresh: Fresh) -> None:
    ids = builder.make_runs(store, 3)
    lines = shelf.lines(store, ids)
    tip = store.refs()[layout.run_ref(ids[1])]
    drop(store, *(layout.run_ref(one) for one in ids))
    shelf.write_list(store, [b"".join(lines)])
    assert fresh().count() == 3
    lines[1] = f'{{"id":"{ids[1]}","purged":true,"tip":"{tip}"}}\n'.encode()
    shelf.write_list(store, [b"".join(lines)])
    assert {row.id for row in fresh().rows()} == {ids[0], ids[2]}


def test_annotations_of_archived_runs_count_in_any_order(
    store: Repository, fresh: Fresh, repo: Path, track: Callable[..., object]
) -> None:
    ids = builder.make_runs(store, 2)
    track("tag", ids[0], "good")
    shelf.put(store, ids)
    track("rm", ids[1])
    track("baseline", ids[0])
    index = fresh()
    assert (index.rows()[0].tags, index.rows()[0].baseline) == (["good"], True)
    assert [row.id for row in index.marked()] == [ids[0]]
    assert is_what_a_new_one_says(store, index)


@pytest.mark.parametrize("harm", ["directory", "segment", "line", "newer"])
def test_a_damaged_list_does_not_hide_other_runs(store: Repository, fresh: Fresh, harm: str) -> None:
    ids = builder.make_runs(store, 4)
    lines = shelf.lines(store, ids)
    shelf.put(store, ids[:2])
    drop(store, *(layout.run_ref(one) for one in ids[2:3]))
    if harm == "line":
        shelf.write_list(store, [b'{"id":"odd"}\n[]\n' + lines[2].replace(b'"summary":{', b'"summary":[{')], OTHER)
    else:
        shelf.write_list(store, [lines[2]], OTHER)
        path = "index/000" if harm == "directory" else "index/000/00.jsonl"
        oid = store.git.run("rev-parse", f"{store.refs()[list_ref(OTHER)]}:{path}").decode()
        if harm != "newer":
            path = Path(store.paths.common_dir, "objects", oid[:2], oid.strip()[2:])
            os.unlink(path)
        else:
            line = lines[2].replace(b'"format":2', b'"format":99')
            shelf.write_list(store, [line], OTHER)
    rows = {row.id: row.status for row in fresh().rows()}
    assert {ids[0], ids[1], ids[3]} <= rows.keys()
    assert harm != "newer" or rows[ids[2]] == rows_.NEWER
