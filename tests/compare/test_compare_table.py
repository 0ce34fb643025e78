"""The comparison table: values kept, differences found, the best marked, groups tested, every form escaped."""

import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.compare import export, frame, grid, groups, layout
from gittrack.errors import UsageError
from gittrack.runs.row import Row

NOW = 1_800_000_000.0


def run(number, params=None, goals=None, **metrics):
    goals = {"loss": "minimize"} if goals is None else goals
    return Row(
        id=f"{number:020x}"[::-1],
        created=NOW,
        started=NOW,
        ended=NOW + 3,
        duration=3.0,
        status="completed",
        params=params or {},
        goals=goals,
        metrics={name: {"last": value, "best": value} for name, value in metrics.items()},
    )


SWEEP = [
    run(1, {"lr": 0.1, "epochs": 10, "layers": [1, 2]}, loss=0.5, acc=0.9),
    run(2, {"lr": 0.2, "epochs": 10, "layers": [1, 2]}, loss=0.25, acc=0.8),
    run(3, {"lr": 0.2, "epochs": 10, "layers": [1, 2], "extra": None}, loss=math.nan),
]


def table(rows, **options):
    compared = frame.differing(frame.compared(rows, NOW))
    goals, _ = frame.goals(rows)
    return layout.of_runs(compared, goals, frame.best(compared, goals), **options)


def shown(found):
    return {label: [cell.text for cell in cells] for label, cells in zip(found.labels, found.cells, strict=True)}


def test_only_what_differs_is_compared():
    found = frame.differing(frame.compared(SWEEP, NOW))
    assert frame.keys(found) == [("params", "lr"), ("metrics", "acc"), ("metrics", "loss")]


def test_everything_when_asked():
    found = frame.compared(SWEEP, NOW, everything=True)
    assert ("params", "epochs") in frame.keys(found)
    assert ("run", "command") in frame.keys(found)


def test_values_keep_their_type_beside_missing_ones():
    found = frame.compared([run(1, {"n": 1}), run(2, {"n": True}), run(3)], NOW)
    assert [type(value) for value in found["params", "n"]] == [int, bool, type(None)]


def test_an_int_differs_from_a_float():
    assert not frame.differing(frame.compared([run(1, {"n": 1}), run(2, {"n": 1.0})], NOW)).empty


def test_no_runs_and_no_parameters_make_an_empty_frame():
    assert frame.compared([], NOW).empty
    assert len(frame.compared([run(1), run(2)], NOW)) == 2


def test_the_best_value_is_marked_in_its_direction_and_nan_never_is():
    found = table(SWEEP)
    assert shown(found) == {
        "lr": ["0.1", "0.2", "0.2"],
        "acc": ["0.9", "0.8", "-"],
        "loss ↓": ["0.5", "0.25", "nan"],
    }
    assert [cell.best for cell in found.cells[2]] == [False, True, False]
    assert not any(cell.best for cell in found.cells[1])


def test_goals_that_disagree_mark_nothing():
    rows = [run(1, goals={"loss": "minimize"}, loss=1), run(2, goals={"loss": "maximize"}, loss=2)]
    assert frame.goals(rows) == ({}, ["loss"])


def test_deltas_stand_beside_the_values():
    compared = frame.differing(frame.compared(SWEEP, NOW))
    deltas = frame.deltas(compared, SWEEP[0].id)
    found = table(SWEEP, baseline=SWEEP[0].id, deltas=deltas)
    assert found.heads[0] == SWEEP[0].id[:7] + " (baseline)"
    assert shown(found)["loss ↓"] == ["0.5", "0.25 (-0.25)", "nan"]


def test_a_name_that_is_both_parameter_and_metric_keeps_its_prefix():
    found = table([run(1, {"lr": 1}, lr=0.1), run(2, {"lr": 2}, lr=0.2)])
    assert found.labels == ["params.lr", "metrics.lr"]


def test_transposing_twice_changes_nothing_but_sections():
    found = table(SWEEP)
    assert found.transposed().transposed().cells == found.cells
    assert found.transposed().labels == found.heads


SEEDS = [
    run(1, {"lr": 0.1, "seed": 1}, loss=1.0, acc=1.0),
    run(2, {"lr": 0.1, "seed": 2}, loss=1.1),
    run(3, {"lr": 0.1, "seed": 3}, loss=0.9),
    run(4, {"lr": 0.01, "seed": 1}, loss=2.0),
    run(5, {"lr": 0.01, "seed": 2}, loss=2.1),
    run(6, {"lr": 0.01, "seed": 3}, loss=math.nan),
]


def test_runs_that_differ_only_in_their_seeds_are_grouped():
    assert groups.seed_keys(SEEDS) == ["params.lr"]
    found = groups.gather(SEEDS, ["params.lr"])
    assert [(group.key, len(group.runs)) for group in found] == [((0.01,), 3), ((0.1,), 3)]


def test_a_group_is_tested_against_the_group_of_the_baseline():
    found = groups.gather(SEEDS, ["params.lr"])
    small, large = found
    assert groups.statistic(large, "loss", large).p is None
    statistic = groups.statistic(small, "loss", large)
    assert (statistic.n, statistic.mean) == (2, pytest.approx(2.05))
    assert 0 < statistic.p < 0.01
    made = layout.of_groups(found, ["params.lr"], ["loss"], {"loss": "minimize"}, large)
    assert made.heads == ["runs", "loss ↓", "p loss"]
    assert [cell.text for cell in made.cells[0]] == ["3", "2.05 ± 0.071 (n=2)", "0.001"]
    assert [cell.text for cell in made.cells[1]] == ["3", "1 ± 0.1", "-"]
    assert made.cells[1][1].best
    assert made.labels == ["0.01", "0.1 (baseline)"]


def test_without_a_seed_that_differs_grouping_by_seeds_says_what_to_do():
    with pytest.raises(UsageError) as caught:
        groups.seed_keys(SWEEP)
    assert "--group-by" in caught.value.hint


@pytest.mark.parametrize(
    "name", ["seed", "data.seed", "random_state", "model/random_seed", "SEED", "manual_seed", "np_seed"]
)
def test_seeds_by_name(name):
    assert groups.is_seed(name)


@pytest.mark.parametrize("name", ["seeding", "lr", "state", "seed_layers", "hidden_state", "proceed"])
def test_not_seeds_by_name(name):
    assert not groups.is_seed(name)


def test_groups_by_several_keys_keep_missing_values_apart():
    rows = [run(1, {"a": 1, "b": "x"}), run(2, {"a": 1}), run(3, {"a": [1], "b": "x"})]
    found = groups.gather(rows, ["params.a", "params.b"])
    assert [group.key for group in found] == [(1, "x"), (1, None), ([1], "x")]


def test_values_that_print_alike_are_not_one_group():
    assert len(groups.gather([run(1, {"lr": 0.1000001}), run(2, {"lr": 0.1000002})], ["params.lr"])) == 2


def test_json_has_whole_values():
    rows = [run(1, {"lr": 1 / 3}, loss=1.0), run(2, {"lr": 0.5}, loss=math.nan)]
    compared = frame.differing(frame.compared(rows, NOW))
    deltas = frame.deltas(compared, rows[0].id)
    found = json.loads(export.runs_json(compared, rows, {"loss": "minimize"}, {}, "last", rows[0].id, deltas))
    assert found["runs"][0]["params"] == {"lr": 1 / 3}
    assert found["runs"][1]["metrics"] == {"loss": {"$": "nan"}}
    assert found["baseline"] == rows[0].id


def test_csv_has_whole_values_in_both_directions():
    rows = [run(1, {"lr": 1 / 3, "opt": "a,b"}, loss=1.0), run(2, {"lr": 0.5, "opt": "c"}, loss=2.0)]
    compared = frame.differing(frame.compared(rows, NOW))
    deltas = frame.deltas(compared, rows[0].id)
    lines = list(csv.reader(io.StringIO(export.runs_csv(compared, deltas, transposed=True))))
    assert lines[0] == ["id", "params.lr", "params.opt", "metrics.loss", "delta.loss"]
    assert lines[1] == [rows[0].id, repr(1 / 3), "a,b", "1.0", "0.0"]
    turned = list(csv.reader(io.StringIO(export.runs_csv(compared, deltas, transposed=False))))
    assert [list(line) for line in zip(*turned, strict=True)] == lines


def test_groups_for_machines():
    found = groups.gather(SEEDS, ["params.lr"])
    made = json.loads(export.groups_json(found, ["params.lr"], ["loss", "acc"], {}, "last", found[1]))
    assert made["baseline"] == {"params.lr": 0.1}
    assert made["groups"][1]["metrics"]["acc"] == {"n": 1, "mean": 1.0, "std": {"$": "nan"}, "p": None}
    lines = list(csv.reader(io.StringIO(export.groups_csv(found, ["params.lr"], ["loss"], found[1]))))
    assert lines[0] == ["params.lr", "runs", "loss.n", "loss.mean", "loss.std", "loss.p"]
    assert lines[2][:3] == ["0.1", "3", "3"]


ODD = "a|b<script>&\"'_{}\\$%#~^*`"


def test_markdown_cannot_be_broken_out_of():
    found = grid.Grid("", [ODD], ["x"], [""], [[grid.Cell("1", True)]])
    text = grid.markdown(found)
    assert text.splitlines()[2] == "| x | **1** |"
    assert text.splitlines()[0].replace("\\|", "").count("|") == 3
    assert "<script" not in text.replace("\\<", "")


def test_html_is_escaped():
    text = grid.html(grid.Grid("", [ODD], [ODD], [""], [[grid.Cell(ODD)]]))
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") == 3


def test_latex_is_escaped():
    text = grid.latex(grid.Grid("", [ODD], ["loss ↓"], [""], [[grid.Cell("-0.5", True)]]))
    assert r"\textbf{\(-0.5\)}" in text
    assert r"a\textbar{}b\textless{}script\textgreater{}\&" in text
    assert r"\(\downarrow\)" in text


@given(st.text())
def test_latex_leaves_no_special_character_alone(text):
    made = grid._tex(text)
    for char in "%#&":
        assert made.count(char) == made.count("\\" + char)


def test_wide_frames_have_pandas_types():
    found = frame.wide([SWEEP[0], run(9, {"lr": 1, "note": "x"})])
    assert str(found["created"].dtype).startswith("datetime64")
    assert found["params.lr"].tolist() == [0.1, 1.0]
    assert found.index.name == "id"
    assert found["metrics.loss.best"].iloc[0] == 0.5
    assert frame.wide([]).empty


def test_html_is_read_alike_in_every_encoding():
    text = grid.html(grid.Grid("", ["run"], ["loss ↓"], [""], [[grid.Cell("1 ± 2")]]))
    assert text.isascii() and "loss &#8595;" in text
