"""Which runs are archived without being asked for: old ones of this clone, when there are many."""

import builder
import pytest

from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import annotations, archiving, due, logs, operations, unarchiving, writer
from gittrack.runs.annotations import Author
from gittrack.runs.undo import undo

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")


def runs(
    store: Repository, count: int, me: str | None = None, first: int = 0, status: str | None = "completed"
) -> list[str]:
    mine = writer.writer_id(store.paths) if me is None else me
    return builder.write_runs(
        store, [builder.journal(at, {}, [], writer=mine, status=status) for at in range(first, first + count)]
    )


@pytest.mark.parametrize(("there", "limit", "least", "moved"), [
    (20, 20, 0, 0), (21, 20, 0, 11), (50, 20, 0, 40), (3, 1, 0, 3), (50, 20, 60, 0), (60, 20, 60, 50), (60, 70, 60, 0),
])  # fmt: skip
def test_all_but_the_newest_half_of_the_limit_go_when_there_are_more(
    there: int, limit: int, least: int, moved: int
) -> None:
    found = [due.Candidate(f"{at:020x}", f"2026-01-01T{at:02d}") for at in range(there)]
    assert due.choose(reversed(found), limit, least, ()) == [one.id for one in found[:moved]]


def test_runs_that_were_unarchived_neither_go_nor_count() -> None:
    found = [due.Candidate(str(at), f"{at:02d}") for at in range(6)]
    assert due.choose(found, 4, 0, {"0", "1"}) == []
    assert due.choose(found, 4, 0, {"0"}) == ["1", "2", "3"]


def test_only_finished_runs_of_this_clone_are_due(store: Repository) -> None:
    mine = runs(store, 5)
    runs(store, 5, "ab" * 8, first=10)
    runs(store, 1, first=20, status=None)
    builder.record(store, {"format": b"gittrack 2\n", "run.json": b"[]", "status.json": b"{"}, layout.run_ref("a" * 20))
    assert due.due(store, 4) == mine[:3]
    assert due.due(store, 5) == []
    assert due.due(store, None) == []
    assert due.due(store, 4, least=12) == []


def test_runs_that_this_clone_recorded_under_an_earlier_id_are_due(store: Repository) -> None:
    mine = runs(store, 3)
    writer.renew(store.paths)
    mine += runs(store, 2, first=3)
    assert due.due(store, 4) == mine[:3]


def test_what_was_archived_and_brought_back_is_left_alone(store: Repository) -> None:
    mine = runs(store, 8)
    archiving.archive(store, due.due(store, 4), ANN)
    assert due.due(store, 4) == []
    unarchiving.unarchive(store, mine[:3], ANN)
    assert due.due(store, 4) == []
    assert len(store.refs(layout.RUNS)) == 5


def test_a_clone_that_has_recorded_nothing_archives_nothing(store: Repository) -> None:
    runs(store, 5, "ab" * 8)
    assert writer.known(store.paths) is None
    assert due.due(store, 1) == []


def test_undo_takes_back_what_somebody_did_not_what_was_archived_by_itself(store: Repository) -> None:
    mine = runs(store, 8)
    unarchiving.unarchive(store, mine[:1], ANN)
    annotations.say(store, [annotations.Saying(mine[0], "tag", "good")], ANN)
    archiving.archive(store, due.due(store, 4), ANN._replace(command=due.COMMAND))
    by_itself = operations.log(store)[-1]
    assert undo(store, ANN).what.startswith("archive")
    assert logs.operations(store)[-1].op == "undo"
    assert len(store.refs(layout.RUNS)) == 2
    undo(store, ANN, by_itself.id)
    assert len(store.refs(layout.RUNS)) == 8
