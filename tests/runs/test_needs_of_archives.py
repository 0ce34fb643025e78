"""What archived runs need is never taken, and what only somebody else's list names keeps nothing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shelf
import stored
from common import noise

from gittrack import errors
from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import gc, needs, stores, writer


def digests(store: Repository) -> set[int]:
    return {one.size for one in needs.of_clone(store).files}


def swept(store: Repository) -> int:
    return len(gc.plan(store, time.time() + 1, 0).sweep)


def test_files_of_archived_runs_are_needed(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    other = stored.run(store, 2, {})
    shelf.put(store, [run_id, other])
    assert swept(store) == 0
    assert digests(store) == {len(noise(1))}
    assert set(stores.all_runs(store)) == {run_id}
    assert [one.size for one in stores.needed(store)] == [len(noise(1))]


def test_records_are_believed_where_the_list_beside_them_has_gone(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    shelf.put(store, [run_id])
    ref = layout.archive_ref(shelf.WRITER, 0, "list")
    store.update_refs([RefChange(ref, store.refs()[ref], None)])
    assert swept(store) == 0


def test_a_list_of_somebody_else_cannot_talk_the_files_of_a_run_away(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    (line,) = shelf.lines(store, [run_id])
    shelf.put(store, [run_id])
    shelf.write_list(store, [line.replace(b'"artifacts":', b'"nothing":')], "b" * 16)
    assert swept(store) == 0


def test_records_that_were_kept_need_their_files_whatever_a_list_says(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    (line,) = shelf.lines(store, [run_id])
    shelf.put(store, [run_id])
    there = store.refs()
    records, list_ = (layout.archive_ref(shelf.WRITER, 0, part) for part in ("records", "list"))
    store.update_refs([RefChange(records, there[records], None), RefChange(layout.KEPT, None, there[records])])
    store.update_refs([RefChange(list_, there[list_], None)])
    shelf.write_list(store, [line.replace(b'"artifacts":', b'"nothing":')], "b" * 16)
    assert swept(store) == 0


def without_record(store: Repository, run_id: str, line: bytes) -> None:
    """As in a clone that has fetched a list and no records."""
    tree = line.rpartition(b'"tree":"')[2][:40].decode()
    shelf.put(store, [run_id], records=False)
    shelf.write_list(store, [line.replace(tree.encode(), b"1" * 40)])


def test_a_run_that_only_a_list_names_needs_nothing_here(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    (line,) = shelf.lines(store, [run_id])
    without_record(store, run_id, line)
    assert digests(store) == set()


def test_cleaning_by_policy_asks_nobody_for_records_that_are_not_here(
    store: Repository, repo: Path, track: Callable[..., Any]
) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    (line,) = shelf.lines(store, [run_id])
    without_record(store, run_id, line)
    (repo / "gittrack.yaml").write_text("keep: {latest: 1}\n")
    assert "no run needs" in track("gc", "--keep", "--dry-run").stdout


def test_a_run_of_this_clone_whose_record_is_gone_stops_the_cleaning(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    (line,) = shelf.lines(store, [run_id])
    me = writer.writer_id(store.paths)
    mine = line.replace(b'"writer":"0000000000000000"', b'"writer":"%s"' % me.encode())
    without_record(store, run_id, mine)
    with pytest.raises(errors.DamagedRecord, match="which this clone made"):
        needs.of_clone(store)


def test_a_damaged_list_stops_the_cleaning(store: Repository) -> None:
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    shelf.put(store, [run_id])
    ref = layout.archive_ref(shelf.WRITER, 0, "list")
    old = store.refs()[ref]
    empty = store.git.run("commit-tree", "-m", "x", "4b825dc642cb6eb9a060e54bf8d69288fbee4904").decode().strip()
    store.update_refs([RefChange(ref, old, empty)])
    with pytest.raises(errors.DamagedRecord):
        needs.of_clone(store)
