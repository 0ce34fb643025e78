"""Live runs stand in the table as they are now, at a cost that does not depend on how long they have been running."""

import fcntl
import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import builder
import pytest

from gittrack.git.repository import Repository
from gittrack.runs import live, overlay
from gittrack.runs.annotations import Annotations, Author
from gittrack.runs.folding import Folder, fold_dead
from gittrack.runs.index import Index, open_index

Fresh = Callable[[], Index]
Alive = Callable[..., Path]


@pytest.fixture
def alive(store: Repository) -> Iterator[Alive]:
    """`alive(number, data)` makes a live folder whose starter holds its lock."""
    with ExitStack() as stack:

        def call(number: int, data: bytes, held: bool = True) -> Path:
            folder = Path(live.folder(store.paths, builder.run_id(number)))
            folder.mkdir(parents=True)
            journal = stack.enter_context((folder / "run.jsonl").open("ab", buffering=0))
            journal.write(data)
            if held:
                fcntl.flock(journal, fcntl.LOCK_EX)
            return folder

        yield call


def point(step: int, **values: float) -> bytes:
    return json.dumps({"m": values, "s": step, "t": step / 10, "w": builder.T0 + step / 10}).encode() + b"\n"


def append(folder: Path, data: bytes, name: str = "run.jsonl") -> None:
    with (folder / name).open("ab") as file:
        file.write(data)


def test_a_run_of_which_nothing_is_committed_is_listed(store: Repository, fresh: Fresh, alive: Alive) -> None:
    builder.make_runs(store, 2)
    alive(5, builder.journal(5, {"lr": 0.1}, [0.5, 0.25], status=None, name="now"))
    rows = fresh().rows()
    assert [row.live for row in rows] == [True, False, False]
    row = rows[0]
    assert (row.id, row.tip, row.status, row.name, row.ended) == (builder.run_id(5), None, "running", "now", None)
    assert row.params == {"lr": 0.1}
    assert row.metrics["loss"] == {"last": 0.25, "last_step": 1}
    assert row.primary == ("loss", "minimize")
    assert (row.duration or 0) > 0
    assert fresh().count() == 3
    assert fresh().brief()[0][0] == builder.run_id(5)


def test_last_values_are_of_now_and_best_values_of_the_last_commit(
    store: Repository, fresh: Fresh, alive: Alive
) -> None:
    folder = alive(5, builder.journal(5, {"lr": 0.1}, [0.5, 0.25, 0.5], status=None, checkpoints=True))
    open_folder = Folder.open(store, str(folder))
    assert open_folder is not None
    open_folder.advance(builder.T0 + 301)
    append(folder, point(3, loss=0.125) + b'{"e":"params","source":"code","values":{"lr":0.2},"t":9,"w":9}\n')
    row = fresh().rows()[0]
    assert row.tip is not None
    assert (row.metrics["loss"]["last"], row.metrics["loss"]["best"]) == (0.125, 0.25)
    assert (row.metrics["val/acc"]["last"], row.checkpoints) == (0.5, 3)
    assert row.params == {"lr": 0.2}
    open_folder.close()


def test_the_states_of_runs_that_nobody_holds(store: Repository, fresh: Fresh, alive: Alive) -> None:
    here, elsewhere = live.here(), live.Here("another boot", "another machine")
    alive(1, builder.journal(1, {}, [0.5], status=None, boot=here), held=False)
    alive(2, builder.journal(2, {}, [0.5], status=None, boot=elsewhere), held=False)
    alive(3, builder.journal(3, {}, [0.5], status="failed", boot=here), held=False)
    alive(4, b"", held=False)
    states = [(row.id, row.status) for row in fresh().rows(sort="created")]
    assert states == [(builder.run_id(n), state) for n, state in ((1, "crashed"), (2, "lost?"), (3, "failed"))]
    assert [row.status for row in fresh().rows(status="lost?")] == ["lost?"]


def test_live_runs_keep_their_place_in_any_order_and_limit(store: Repository, fresh: Fresh, alive: Alive) -> None:
    builder.make_runs(store, 6)
    alive(7, builder.journal(7, {}, [0.5], status=None, name="a-live"))
    alive(9, builder.journal(9, {}, [0.5], status=None))
    builder.make_runs(store, 1, first=8)
    order = [builder.run_id(number) for number in (9, 8, 7, 5, 4, 3, 2, 1, 0)]
    assert [row.id for row in fresh().rows()] == order
    assert [row.id for row in fresh().rows(limit=3)] == order[:3]
    assert [row.id for row in fresh().rows(sort="created", limit=7)] == order[:1:-1]
    assert [row.name for row in fresh().rows(sort="name", limit=3)] == ["a-live", "run-0", "run-3"]
    assert [row.status for row in fresh().rows(sort="ended-desc")][-2:] == ["running", "running"]


def test_a_run_that_is_folded_while_it_is_listed_is_listed_as_ended(store: Repository, alive: Alive) -> None:
    folder = alive(5, builder.journal(5, {}, [0.5]))
    open_folder = Folder.open(store, str(folder))
    assert open_folder is not None
    open_folder.advance(builder.T0 + 301)
    index = open_index(store.paths)
    index.refresh(lambda: store)
    assert open_folder.finish(builder.T0 + 302, mine=("run.jsonl",))
    open_folder.close()
    assert [(row.status, row.live) for row in index.rows()] == [("completed", False)]
    index.close()


def test_a_run_can_be_named_before_anything_of_it_is_committed(store: Repository, fresh: Fresh, alive: Alive) -> None:
    alive(5, builder.journal(5, {}, [0.5], status=None, tags=["a"]))
    author = Author("Ann <ann@example.org>", builder.T0, "test")
    said = Annotations(store, fresh(), author)
    assert said.rename(builder.run_id(5), "named") == 1
    assert Annotations(store, fresh(), author).tag([builder.run_id(5)], ["b"]) == 1
    row = fresh().rows()[0]
    assert (row.name, row.tags, row.live) == ("named", ["a", "b"], True)


def test_values_of_several_processes_are_joined(store: Repository, fresh: Fresh, alive: Alive) -> None:
    folder = alive(5, builder.journal(5, {"lr": 1}, [], status=None) + point(4, loss=0.5))
    other = b'{"e":"process","boot":null,"t":0,"w":0}\n'
    other += b'{"e":"params","source":"argparse","values":{"lr":2,"x":3},"t":0,"w":0}\n'
    append(folder, other + point(9, loss=0.25, extra=1.0) + point(3, loss=9.0), "1767323345000-77-abcd.jsonl")
    ranked = b'{"m":{"loss":7,"only":8},"s":99,"t":0,"w":0,"r":1}\n'
    append(folder, b'{"e":"process","boot":null,"t":0,"w":0}\n' + ranked, "1767323345001-78-abcd.jsonl")
    row = fresh().rows()[0]
    assert row.metrics == {
        "loss": {"last": 0.25, "last_step": 9},
        "extra": {"last": 1.0, "last_step": 9},
        "only": {"last": 8, "last_step": 99},
    }
    assert row.params == {"lr": 1, "x": 3}


def test_a_nan_and_a_torn_line_do_no_harm(store: Repository, fresh: Fresh, alive: Alive) -> None:
    folder = alive(5, builder.journal(5, {}, [], status=None))
    append(folder, b'{"m":{"loss":{"$":"nan"}},"s":3,"t":0,"w":0}\n{"m":{"loss":1},"s":4,"t"')
    assert math.isnan(fresh().rows()[0].metrics["loss"]["last"])


def test_a_long_journal_is_read_at_its_ends_only(
    store: Repository, alive: Alive, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = alive(5, builder.journal(5, {"lr": 0.1}, [], status=None))
    append(folder, b"".join(point(step, loss=1 / (1 + step)) for step in range(20_000)))
    append(folder, point(20_000, rare=1.0) + b"".join(point(step, loss=2.0) for step in range(20_001, 20_200)))
    parsed: list[bytes] = []
    real = overlay.events.parse_line
    monkeypatch.setattr(overlay.events, "parse_line", lambda line: parsed.append(line) or real(line))
    news = overlay.look(str(folder), live.here())
    assert news is not None
    assert news.last["loss"] == (2.0, 20_199)
    assert news.params["lr"]["value"] == 0.1
    assert len(parsed) < 2 * overlay.QUIET


def test_dead_runs_are_rows_of_their_records_once_they_are_folded(
    store: Repository, fresh: Fresh, alive: Alive
) -> None:
    alive(1, builder.journal(1, {}, [0.5], status=None, boot=live.here()), held=False)
    assert [(row.status, row.live) for row in fresh().rows()] == [("crashed", True)]
    assert fold_dead(store, builder.T0 + 99).folded == [builder.run_id(1)]
    assert [(row.status, row.live) for row in fresh().rows()] == [("crashed", False)]
