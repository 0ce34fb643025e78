"""The journal's lines are the format's, whatever is passed to it."""

import decimal
import enum
import fcntl
import fractions
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from journal_reading import events

from gittrack.recorder import journal as journals
from gittrack.recorder.complain import WrongUse
from gittrack.recorder.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    made = Journal(str(tmp_path))
    yield made
    made.close()


def logged(tmp_path: Path) -> list[tuple[dict[str, Any], int]]:
    return [(line["m"], line["s"]) for line in events(tmp_path, "m")]


def test_the_first_line_names_the_process(journal: Journal, tmp_path: Path) -> None:
    journal.metrics({"loss": 0.25}, 10)
    first = events(tmp_path)[0]
    assert list(first) == [
        "e", "boot", "format", "host", "machine", "pid", "pidns", "ppid", "rank", "started", "t", "w",
    ]  # fmt: skip
    assert (first["e"], first["format"], first["pid"], first["ppid"]) == ("process", 2, os.getpid(), os.getppid())
    if sys.platform == "linux":
        assert first["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert first["started"] == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        assert first["pidns"] == os.stat("/proc/self/ns/pid").st_ino


def test_a_file_is_named_by_time_process_and_chance(journal: Journal, tmp_path: Path) -> None:
    assert journal.name is None
    journal.metrics({"loss": 1}, 0)
    assert journal.name is not None
    moment, pid, rest = journal.name.split("-")
    assert (len(moment), int(pid), len(rest)) == (13, os.getpid(), len("abcd.jsonl"))
    assert [path.name for path in tmp_path.iterdir()] == [journal.name]


def test_metrics_are_one_line_with_step_and_both_times(journal: Journal, tmp_path: Path) -> None:
    journal.metrics({"loss": 0.25, "n": 3}, 10)
    journal.metrics({"loss": 1e-300, "n": -3}, 11)
    line = events(tmp_path, "m")[1]
    assert list(line) == ["m", "s", "t", "w"]
    assert (line["m"], line["s"]) == ({"loss": 1e-300, "n": -3}, 11)
    assert 0 <= line["t"] < 60 and abs(line["w"] - events(tmp_path)[0]["w"]) < 60


def test_numbers_that_json_cannot_say_are_kept(journal: Journal, tmp_path: Path) -> None:
    for _ in range(2):  # the second time the names are known
        journal.metrics({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}, 1)
    form = {"a": {"$": "nan"}, "b": {"$": "inf"}, "c": {"$": "-inf"}, "d": 1.5}
    assert logged(tmp_path) == [(form, 1), (form, 1)]


def test_sums_that_overflow_are_no_infinities(journal: Journal, tmp_path: Path) -> None:
    for _ in range(2):
        journal.metrics({"a": 1.7e308, "b": 1.7e308}, 1)
        journal.metrics({"a": 10**300, "b": 0.5}, 1)
    assert logged(tmp_path)[-2:] == [({"a": 1.7e308, "b": 1.7e308}, 1), ({"a": 10**300, "b": 0.5}, 1)]


class Level(enum.IntEnum):
    HIGH = 3


SCALARS = [
    (True, 1),
    (np.float32(0.5), 0.5),
    (np.float64(0.1), 0.1),
    (np.int64(7), 7),
    (np.bool_(True), 1),
    (np.float64("nan"), {"$": "nan"}),
    (np.array(2.5), 2.5),
    (np.array([2.5]), 2.5),
    (np.longdouble(0.25), 0.25),
    (decimal.Decimal("0.5"), 0.5),
    (fractions.Fraction(1, 4), 0.25),
    (Level.HIGH, 3),
]


@pytest.mark.parametrize(("value", "text"), SCALARS, ids=lambda value: type(value).__name__)
def test_every_kind_of_scalar_becomes_a_plain_number(journal: Journal, tmp_path: Path, value: Any, text: Any) -> None:
    for _ in range(2):
        journal.metrics({"x": value, "y": 0.5}, 1)
    assert logged(tmp_path) == [({"x": text, "y": 0.5}, 1)] * 2


def test_tensors_of_one_number_are_scalars(journal: Journal, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    journal.metrics({"loss": torch.tensor(0.5, requires_grad=True), "n": torch.tensor(3)}, torch.tensor(4))
    assert logged(tmp_path) == [({"loss": 0.5, "n": 3}, 4)]


@pytest.mark.parametrize("value", ["0.5", None, [1.0], {"a": 1}, np.zeros(3), 1j, np.datetime64("2026-01-01"), 10**400])
def test_what_is_no_number_is_left_out_with_one_warning(
    journal: Journal, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    name = f"bad {value!r:.20}"
    for _ in range(3):
        journal.metrics({name: value, "loss": 0.5}, 1)
    assert logged(tmp_path) == [({"loss": 0.5}, 1)] * 3
    assert capsys.readouterr().err.count("not a number") == 1


@pytest.mark.parametrize("metrics", [None, 3, "loss", [1, 2], {3: 0.5}])
def test_wrong_metrics_never_raise_unless_strict(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, metrics: Any
) -> None:
    with pytest.raises(WrongUse):
        journal.metrics(metrics, 1)
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    journal.metrics(metrics, 1)


NAMES = [
    "val/acc",
    "a.b.c",
    'quo"ted',
    "per%cent %d %(x)s",
    "new\nline",
    "tab\t",
    "back\\slash",
    "größe",
    "损失",
    "🙂",
    "",
    "{}",
]


def test_any_text_is_a_name(journal: Journal, tmp_path: Path) -> None:
    for _ in range(2):
        journal.metrics(dict.fromkeys(NAMES, 0.5), 1)
    journal.metrics({"\ud800 surrogate": 0.5}, 1)
    assert [list(metrics) for metrics, _ in logged(tmp_path)] == [NAMES, NAMES, ["\ud800 surrogate"]]


def test_the_names_of_enumerations_are_their_text(journal: Journal, tmp_path: Path) -> None:
    class Name(str, enum.Enum):
        LOSS = "loss"

    journal.metrics({Name.LOSS: 0.5}, 1)
    assert logged(tmp_path) == [({"loss": 0.5}, 1)]


def test_without_a_step_each_metric_counts_for_itself(journal: Journal, tmp_path: Path) -> None:
    journal.metrics({"a": 1.0})
    journal.metrics({"a": 1.0, "b": 2.0})
    journal.metrics({"b": 2.0}, 40)
    journal.metrics({"b": 2.0, "a": 1.0})
    journal.metrics({"b": 2.0})
    assert logged(tmp_path) == [
        ({"a": 1.0}, 0),
        ({"a": 1.0}, 1),
        ({"b": 2.0}, 0),
        ({"b": 2.0}, 40),
        ({"b": 2.0}, 41),
        ({"a": 1.0}, 2),
        ({"b": 2.0}, 42),
    ]


def test_counters_outlive_the_cache_of_names(journal: Journal, tmp_path: Path) -> None:
    journal.metrics({"a": 1.0}, 7)
    for n in range(2100):
        journal.metrics({f"name {n}": 1.0}, n)
    assert len(journal._known) <= 1000
    journal.metrics({"a": 1.0, "name 5": 1.0})
    assert logged(tmp_path)[-2:] == [({"a": 1.0}, 8), ({"name 5": 1.0}, 6)]


@pytest.mark.parametrize("step", [3, np.int64(3), 3.0, np.float32(3), decimal.Decimal(3)])
def test_any_whole_number_is_a_step(journal: Journal, tmp_path: Path, step: Any) -> None:
    journal.metrics({"a": 1.0}, step)
    journal.metrics({"a": 1.0}, -2)
    journal.metrics({"a": 1.0}, 10**20)
    assert [at for _, at in logged(tmp_path)] == [3, -2, 10**20]


@pytest.mark.parametrize("step", [1.5, "3", math.nan, [1]])
def test_a_wrong_step_costs_a_warning_but_no_point(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Any
) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    journal.metrics({"a": 1.0}, 8)
    journal.metrics({"a": 2.0}, step)
    assert logged(tmp_path) == [({"a": 1.0}, 8), ({"a": 2.0}, 9)]


def test_ranks_above_0_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    journal = Journal(str(tmp_path))
    journal.metrics({"a": 1.0}, 1)
    journal.checkpoint(1, {"a": 1.0}, None)
    journal.close()
    first, *lines = events(tmp_path)
    assert first["rank"] == 3 and [line["r"] for line in lines] == [3, 3, 3]


def test_a_checkpoint_stands_after_the_line_of_its_metrics(journal: Journal, tmp_path: Path) -> None:
    assert journal.checkpoint(10, {"loss": math.nan, "acc": 0.5}, ("loss", "minimize")) == 10
    assert journal.checkpoint(None, None, None) == 10
    assert journal.checkpoint(None, {"acc": 1}, None) == 10
    lines = events(tmp_path)[1:]
    assert lines[0]["m"] == lines[1]["m"] == {"loss": {"$": "nan"}, "acc": 0.5} and "e" not in lines[0]
    assert (lines[1]["e"], lines[1]["primary"], lines[1]["s"]) == ("checkpoint", ["loss", "minimize"], 10)
    assert (lines[2]["e"], lines[2]["primary"], lines[2]["m"], lines[2]["s"]) == ("checkpoint", None, {}, 10)


def test_events_hold_any_json(journal: Journal, tmp_path: Path) -> None:
    value = {"text": "a\n\ud800é", "list": [1, 2.5, None, True, math.inf], "$": "owned", "deep": {"x": ()}}
    assert journal.event("warning", text="é", value=value)
    line = events(tmp_path)[1]
    assert list(line) == ["e", "text", "value", "t", "w"]
    pairs = dict(line["value"]["items"])
    assert pairs["list"] == [1, 2.5, None, True, {"$": "inf"}] and pairs["$"] == "owned"
    assert pairs["text"] == "a\n\ud800é"


def test_the_file_is_locked_as_long_as_the_journal_is_open(journal: Journal, tmp_path: Path) -> None:
    journal.metrics({"a": 1.0}, 1)
    with open(tmp_path / str(journal.name)) as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        journal.close()
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_after_close_nothing_is_written_and_one_warning_said(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    journal.metrics({"a": 1.0}, 1)
    journal.close()
    journal.metrics({"a": 1.0}, 2)
    journal.close()
    assert len(logged(tmp_path)) == 1


def test_the_modules_of_one_process_share_a_journal(tmp_path: Path) -> None:
    one = journals.shared(str(tmp_path))
    assert journals.shared(str(tmp_path)) is one
    one.close()
    other = journals.shared(str(tmp_path))
    assert other is not one
    other.close()


def test_lines_are_what_json_would_read_back(journal: Journal, tmp_path: Path) -> None:
    numbers = [0.1, 1 / 3, 5e-324, 1e22, 123456789.123456789, -0.0, 1.0, 100]
    journal.metrics({str(n): number for n, number in enumerate(numbers)}, 0)
    metrics = logged(tmp_path)[0][0]
    assert list(map(repr, metrics.values())) == list(map(repr, numbers))
    assert json.loads(json.dumps(metrics)) == metrics
