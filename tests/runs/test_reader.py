"""What a run's record holds is read back, whole or half committed."""

import fcntl
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.core import codec, layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import live, reader
from gittrack.runs.folding import Folder


def write(store: Repository, **facts: object) -> str:
    data = builder.journal(0, {"lr": 0.1}, [0.5, math.nan, 0.25], checkpoints=True, **facts)
    return builder.write_runs(store, [data], cuts=3)[0]


def test_a_finished_run_is_read_whole(store: Repository) -> None:
    record = reader.read(store, write(store, name="n"))
    assert (record.facts["name"], record.status["status"]) == ("n", "completed")
    assert record.params == {"lr": {"source": "code", "value": 0.1}}
    found = reader.series(store, record, "loss")
    assert [(point.step, point.value) for point in found[::2]] == [(0, 0.5), (2, 0.25)]
    assert math.isnan(found[1].value)
    assert found[2].t == 0.4
    assert reader.series(store, record, "no such") == []
    assert [line.values["val/acc"] for line in reader.lines(store, record)][::2] == [0.5, 0.75]
    assert [one.step for one in reader.checkpoints(store, record)] == [0, 1, 2]


def test_points_of_other_ranks_stand_in_only_for_a_metric_that_rank_0_never_logged(store: Repository) -> None:
    lines = [
        {"m": {"a": rank, "b": rank} if rank else {"a": rank}, "s": 1, "t": 0, "w": 0, "r": rank} for rank in range(3)
    ]
    record = reader.read(store, builder.write_runs(store, [builder.journal(0, {}, [], more=lines)])[0])
    assert [point.rank for point in reader.series(store, record, "a")] == [0]
    assert [point.rank for point in reader.series(store, record, "b")] == [1, 2]
    assert [point.rank for point in reader.series(store, record, "a", rank=2)] == [2]
    assert [point.rank for point in reader.series(store, record, "a", rank=reader.ALL)] == [0, 1, 2]


@pytest.mark.parametrize("name", ["loss", "val/acc.top-5", 'quo"ted', "back\\slash", "größe", "损失", "a b"])
def test_a_metric_of_any_name_is_found(name: str, store: Repository) -> None:
    more = [{"m": {name: 7.0, "other": 1.0}, "s": 3, "t": 0, "w": 0}]
    record = reader.read(store, builder.write_runs(store, [builder.journal(0, {}, [], more=more)])[0])
    assert [(point.step, point.value) for point in reader.series(store, record, name)] == [(3, 7.0)]


def test_long_series_console_and_environment_come_back_whole(store: Repository) -> None:
    environment = [
        {"e": "environment", "name": "requirements.txt", "value": "torch==2.5\n", "t": 0, "w": 0},
        {"e": "environment", "name": "system.json", "value": {"cpu": 2}, "t": 0, "w": 0},
    ]
    losses = [step / 7 for step in range(30_000)]
    (run_id,) = builder.write_runs(store, [builder.journal(0, {}, losses, more=environment)], cuts=40)
    record = reader.read(store, run_id)
    assert [point.value for point in reader.points(store, record, "loss")] == losses
    assert reader.environment(store, record) == {"requirements.txt": b"torch==2.5\n", "system.json": b'{"cpu":2}\n'}
    assert list(reader.console(store, record)) == []


def test_a_parameter_of_ten_thousand_characters_is_read(store: Repository) -> None:
    (run_id,) = builder.write_runs(store, [builder.journal(0, {"p" * 10_000: "ü" * 10_000}, [])])
    assert reader.read(store, run_id).params == {"p" * 10_000: {"source": "code", "value": "ü" * 10_000}}


def test_checkpoints_are_found_by_step_best_and_latest(store: Repository) -> None:
    record = reader.read(store, write(store))
    assert reader.checkpoint(store, record, 0).metrics == {"loss": 0.5}
    assert reader.checkpoint(store, record, "best").step == 2
    assert reader.checkpoint(store, record, "latest").step == 2
    with pytest.raises(errors.RunNotFound) as raised:
        reader.checkpoint(store, record, 9)
    assert "0, 1, 2" in raised.value.hint


def test_a_run_without_checkpoints_says_so(store: Repository) -> None:
    record = reader.read(store, builder.make_runs(store, 1)[0])
    for point in (1, "best", "latest"):
        with pytest.raises(errors.RunNotFound, match="no checkpoints"):
            reader.checkpoint(store, record, point)


def test_a_run_that_is_not_here(store: Repository) -> None:
    with pytest.raises(errors.RunNotFound):
        reader.read(store, "0" * 20)


@pytest.mark.parametrize("path", ["run.json", "status.json", "params.json", "summary.json", "format"])
@pytest.mark.parametrize("data", [b"", b"[1]\n", b'{"torn', b"\xff"])
def test_a_damaged_record_names_ref_and_file(path: str, data: bytes, store: Repository) -> None:
    run_id = write(store)
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    builder.record(store, {**builder.files_of(store, old), path: data}, ref, old)
    with pytest.raises(errors.DamagedRecord) as raised:
        reader.read(store, run_id)
    assert ref in raised.value.message
    assert path in raised.value.message
    assert "git track doctor" in raised.value.hint


def test_a_newer_format_is_refused_with_what_to_do(store: Repository) -> None:
    run_id = write(store)
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    builder.record(store, {**builder.files_of(store, old), "format": b"gittrack 3\n"}, ref, old)
    with pytest.raises(errors.NewerFormat) as raised:
        reader.read(store, run_id)
    assert "upgrade" in raised.value.hint


def test_a_missing_segment_is_damage(store: Repository) -> None:
    run_id = write(store)
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    files = {**builder.files_of(store, old), "metrics/000/00.jsonl": b"", "metrics/000/xx.jsonl": b""}
    builder.record(store, files, ref, old)
    with pytest.raises(errors.DamagedRecord, match="metrics"):
        reader.series(store, reader.read(store, run_id), "loss")


# Live runs


@pytest.fixture
def folder(store: Repository) -> Iterator[Path]:
    """A live folder whose one process is alive: its journal is locked. The caller writes it."""
    path = Path(live.folder(store.paths, builder.run_id(0)))
    path.mkdir(parents=True)
    with (path / "run.jsonl").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield path


def append(folder: Path, data: bytes, name: str = "run.jsonl") -> None:
    with (folder / name).open("ab") as file:
        file.write(data)


def point(step: int, loss: float) -> bytes:
    return json.dumps({"m": {"loss": loss}, "s": step, "t": step / 10, "w": builder.T0 + step / 10}).encode() + b"\n"


def test_a_live_run_is_read_from_its_journal_before_anything_is_committed(store: Repository, folder: Path) -> None:
    append(folder, builder.journal(0, {"lr": 0.1}, [0.5], status=None) + b'{"m":{"loss":9},"s":1')
    append(folder, b"hello\n", "console.log")
    record = reader.read(store, builder.run_id(0))
    assert (record.tip, record.status["status"], record.status["ended"]) == (None, "running", None)
    assert record.params["lr"]["value"] == 0.1
    assert record.summary["metrics"]["loss"]["last"] == 0.5
    assert [one.value for one in reader.series(store, record, "loss")] == [0.5]
    assert b"".join(reader.console(store, record)) == b"hello\n"


def test_what_is_committed_and_what_is_not_join_without_gap_or_repetition(store: Repository, folder: Path) -> None:
    append(folder, builder.journal(0, {"lr": 0.1}, [0.5], status=None, checkpoints=True))
    append(folder, b"one\n", "console.log")
    open_folder = Folder.open(store, str(folder))
    assert open_folder is not None
    open_folder.advance(builder.T0 + 1)
    append(folder, point(1, 0.25) + point(2, 0.75))
    append(folder, b"two\n", "console.log")
    record = reader.read(store, builder.run_id(0))
    assert record.tip is not None
    assert record.summary["metrics"]["loss"]["last"] == 0.75
    assert [one.value for one in reader.points(store, record, "loss")] == [0.5, 0.25, 0.75]
    assert [one.step for one in reader.checkpoints(store, record)] == [0]
    assert b"".join(reader.console(store, record)) == b"one\ntwo\n"
    open_folder.close()


def test_a_run_that_is_folded_while_it_is_read_is_read_to_its_end(store: Repository, folder: Path) -> None:
    append(folder, builder.journal(0, {"lr": 0.1}, [0.5], status=None))
    record = reader.read(store, builder.run_id(0))
    append(folder, point(1, 0.25))
    open_folder = Folder.open(store, str(folder))
    assert open_folder is not None
    assert open_folder.finish(builder.T0 + 5, "crashed", mine=("run.jsonl",))
    open_folder.close()
    assert not folder.exists()
    assert [one.value for one in reader.points(store, record, "loss")] == [0.5, 0.25]


def test_unknown_fields_are_handed_on(store: Repository) -> None:
    run_id = write(store)
    ref = layout.run_ref(run_id)
    old = store.refs()[ref]
    files = builder.files_of(store, old)
    files["status.json"] = codec.dumps({**codec.loads(files["status.json"]), "later": [1]})
    builder.record(store, files, ref, old)
    assert reader.read(store, run_id).status["later"] == [1]


def test_a_run_whose_ref_was_deleted_is_gone(store: Repository) -> None:
    run_id = write(store)
    ref = layout.run_ref(run_id)
    store.update_refs([RefChange(ref, store.refs()[ref], None)])
    with pytest.raises(errors.RunNotFound):
        reader.read(store, run_id)
    assert os.path.isdir(store.paths.git_dir)
