"""Metric and parameter files that a script writes by itself."""

import json
import math
import os
import sys
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.record import parameters
from gittrack.record.declared import Watch


def write(path: Path, text: str, at: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(at or 1_800_000_000_000_000_000, at or 1_800_000_000_000_000_000))


def test_nested_names_are_joined_and_text_is_passed_over(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["results.json"], [])
    write(tmp_path / "results.json", '{"val": {"acc": 0.9, "best": true}, "loss": 1, "model": "mlp", "n": null}')
    assert list(watch.metrics()) == [(0, {"val/acc": 0.9, "val/best": 1, "loss": 1})]
    assert list(watch.metrics()) == []
    assert watch.warnings() == []


def test_a_step_in_the_file_is_the_step(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["m.json"], [])
    write(tmp_path / "m.json", '{"epoch": 7, "loss": 0.5}')
    assert list(watch.metrics()) == [(7, {"loss": 0.5})]


def test_a_file_that_is_written_again_and_again_becomes_a_series(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["m.yaml"], [])
    seen = []
    for number in range(3):
        write(tmp_path / "m.yaml", f"loss: {number}.5\nlr: 1e-3\n", at=10**18 + number)
        seen += list(watch.metrics())
    assert seen == [(0, {"loss": 0.5, "lr": 0.001}), (1, {"loss": 1.5, "lr": 0.001}), (2, {"loss": 2.5, "lr": 0.001})]


def test_columns_of_a_csv_become_series_and_only_new_rows_are_taken(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["log.csv"], [])
    write(tmp_path / "log.csv", "epoch,loss,lr\n1,0.5,0.1\n2,nan,0.1\n", at=10**18)
    first = list(watch.metrics())
    assert [step for step, _ in first] == [1, 2] and math.isnan(first[1][1]["loss"])
    write(tmp_path / "log.csv", "epoch,loss,lr\n1,0.5,0.1\n2,nan,0.1\n3,0.25,\n", at=10**18 + 1)
    assert list(watch.metrics()) == [(3, {"loss": 0.25})]


def test_a_csv_without_a_step_column_counts_its_rows(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["*.tsv"], [])
    write(tmp_path / "a.tsv", "loss\tname\n0.5\ta\n0.4\tb\n")
    assert list(watch.metrics()) == [(0, {"loss": 0.5}), (1, {"loss": 0.4})]


def test_lines_of_json_become_series(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["log.jsonl"], [])
    write(tmp_path / "log.jsonl", '{"step": 10, "loss": 2.0}\n{"step": 20, "loss": 1.0}\n')
    assert list(watch.metrics()) == [(10, {"loss": 2.0}), (20, {"loss": 1.0})]


def test_old_values_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    write(tmp_path / "results.json", '{"loss": 1}')
    watch = Watch(str(tmp_path), ["results.json"], [])
    assert list(watch.metrics()) == []
    watch.missing()
    watch.missing()
    assert watch.warnings() == [
        "the metric file results.json was not changed by this run: its old values were not recorded"
    ]


def test_a_watch_that_starts_late_knows_old_files_by_their_time(tmp_path: Path) -> None:
    write(tmp_path / "old.json", '{"loss": 1}', at=10**18)
    write(tmp_path / "new.json", '{"loss": 2}', at=3 * 10**18)
    watch = Watch(str(tmp_path), ["*.json"], [], since=2e9)
    assert list(watch.metrics()) == [(0, {"loss": 2})]


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ("{broken", "results.json could not be read"),
        ('{"name": "mlp"}', "no numbers were found in results.json"),
        ("[1, 2]", "no numbers were found"),
        ("[" * 100_000, "results.json could not be read"),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_warning(tmp_path: Path, content: str, warning: str) -> None:
    watch = Watch(str(tmp_path), ["results.json"], [])
    write(tmp_path / "results.json", content)
    assert list(watch.metrics()) == []
    [said] = watch.warnings()
    assert warning in said
    write(tmp_path / "results.json", content + " ", at=10**18)
    assert list(watch.metrics()) == [] and watch.warnings() == []


def test_bytes_that_are_no_text_are_one_warning(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["results.json"], [])
    (tmp_path / "results.json").write_bytes(b"\xff\xfe\x00{")
    assert list(watch.metrics()) == [] and len(watch.warnings()) == 1


def test_a_file_that_never_came_is_one_warning(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["results.json"], ["params.yaml"])
    assert list(watch.params()) == []
    watch.missing()
    assert len(watch.warnings()) == 2


def test_parameters_are_read_once_with_their_types(tmp_path: Path) -> None:
    write(tmp_path / "conf" / "params.yaml", "train:\n  lr: 0.1\n  layers: [64, 32]\nname: mlp\nempty: {}\n")
    watch = Watch(str(tmp_path), [], ["conf/params.yaml"])
    expected = {"train.lr": 0.1, "train.layers": [64, 32], "name": "mlp", "empty": {}}
    assert list(watch.params()) == [("file:conf/params.yaml", expected)]
    assert list(watch.params()) == []


def test_exponents_are_numbers_in_yaml_too(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", "a: 1e-3\nb: '1e-3'\nc: 2E5\nd: 1e\n")
    watch = Watch(str(tmp_path), [], ["params.yaml"])
    assert list(watch.params()) == [("file:params.yaml", {"a": 0.001, "b": "1e-3", "c": 200000.0, "d": "1e"})]


def test_toml_parameters(tmp_path: Path) -> None:
    write(tmp_path / "params.toml", "[train]\nlr = 0.1\n")
    watch = Watch(str(tmp_path), [], ["params.toml"])
    read = list(watch.params())
    if sys.version_info >= (3, 11):
        assert read == [("file:params.toml", {"train.lr": 0.1})]
    else:
        assert read == [] and "needs Python 3.11" in watch.warnings()[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-3", -3), ("+2", 2), ("0", 0), ("007", "007"), ("1.0", 1.0), (".5", 0.5), ("1e-3", 0.001),
        ("1e5", 100000.0), ("1_000", "1_000"), ("true", True), ("False", False), ("null", None), ("None", None),
        ("[1, 2]", [1, 2]), ('{"a": 1}', {"a": 1}), ('"1"', "1"), ("[1, 2", "[1, 2"), ("adam", "adam"), ("", ""),
        ("inf", math.inf), ("-inf", -math.inf), ("1.2.3", "1.2.3"), ("2026-01-02", "2026-01-02"), ("ü", "ü"),
        ("9" * 5000, "9" * 5000), ("٣", "٣"),
    ],
)  # fmt: skip
def test_a_parameter_on_the_command_line_is_what_it_looks_like(text: str, value: object) -> None:
    read = parameters.parse([f"x={text}"])["x"]
    assert read == value and type(read) is type(value)


def test_a_value_may_hold_equals_signs() -> None:
    assert parameters.parse(["a=b=c", "lr=0.1"]) == {"a": "b=c", "lr": 0.1}


@pytest.mark.parametrize("pair", ["lr", "=1", " =1", ""])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(errors.UsageError, match="KEY=VALUE"):
        parameters.parse([pair])


def test_names_are_not_lost_to_json(tmp_path: Path) -> None:
    watch = Watch(str(tmp_path), ["r.json"], [])
    write(tmp_path / "r.json", json.dumps({"wörld/acc.top-1": 0.5}))
    assert list(watch.metrics()) == [(0, {"wörld/acc.top-1": 0.5})]
