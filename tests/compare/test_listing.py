"""Which columns a list of runs gets, and what stands in them."""

import json
import math

import pytest

from gittrack.compare import listing, text
from gittrack.core import codec, fields
from gittrack.errors import BadExpression
from gittrack.runs.row import Row

NOW = 1_800_000_000.0


def run(number, **facts):
    given = {"created": NOW - 60 * number, "started": NOW - 60 * number, "status": "completed", "duration": 3.0}
    return Row(id=f"{number:020x}"[::-1], **{**given, **facts})


def titles(rows):
    return [column.title for column in listing.default_columns(rows, NOW)]


def texts(rows, key):
    return listing.column(rows, key, NOW).texts


def test_only_parameters_that_differ_get_a_column():
    rows = [run(n, params={"lr": 0.1 * n, "epochs": 10, "layers": [1, 2]}) for n in range(3)]
    assert titles(rows) == ["id", "age", "state", "duration", "lr"]


def test_a_parameter_that_one_run_lacks_differs():
    assert listing.differing([run(1, params={"a": None}), run(2)]) == ["a"]


def test_nan_does_not_differ_from_nan():
    assert listing.differing([run(1, params={"a": math.nan}), run(2, params={"a": float("nan")})]) == []


def test_the_primary_metric_is_shown_best_and_last():
    metrics = {"loss": {"last": 0.3, "best": 0.25}, "acc": {"last": 0.5}}
    rows = [run(1, metrics=metrics, primary=("loss", "minimize"))]
    assert titles(rows)[-2:] == ["loss.best", "loss"]
    assert texts(rows, "metrics.loss.best") == ["0.25"]


def test_without_a_goal_the_commonest_metrics_are_shown_but_not_those_of_the_system():
    rows = [run(1, metrics={"loss": {"last": 1}, "system/cpu": {"last": 9}}), run(2, metrics={"loss": {"last": 2}})]
    assert titles(rows)[-1] == "loss"


def test_names_tags_and_marks_get_columns_when_there_are_any():
    rows = [run(1, name="wide", baseline=True, tags=("x",)), run(2)]
    assert titles(rows) == ["id", "name", "age", "state", "duration", "tags"]
    assert texts(rows, "tags") == ["baseline, x", "-"]


def test_a_parameter_called_like_a_fact_keeps_its_prefix():
    rows = [run(1, params={"name": 1}), run(2, params={"name": 2})]
    assert "params.name" in titles(rows)


def test_a_running_run_is_as_long_as_it_has_been_running():
    assert texts([run(2, status="running", duration=1.0)], "duration") == ["2m 00s"]


def test_terminal_control_characters_never_reach_a_cell():
    row = run(1, name="a\x1b[31mb\n", params={"p": "\x07"}, tags=("\x9b",))
    assert texts([row], "name") == ["a\\x1b[31mb\\n"]
    assert texts([row], "params.p") == ["\\x07"]
    assert texts([row], "tags") == ["\\x9b"]


def test_a_long_value_is_cut():
    assert len(texts([run(1, params={"p": "x" * 10_000})], "params.p")[0]) == listing.WIDEST


def test_an_unknown_column_is_refused_with_the_nearest():
    known = fields.Known([run(1, params={"lr": 1})])
    with pytest.raises(BadExpression) as caught:
        listing.column_keys("id,lrr", known)
    assert "lr" in caught.value.hint
    assert listing.column_keys("+lr, id", known) == ["lr", "id"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1234567, "0.12346"), (1e-7, "1e-07"), (123456.7, "123457"), (3, "3"), (10**400, "huge"), (True, "true"),
     (None, "-"), (math.nan, "nan"), (-math.inf, "-inf"), ([1, 2.5], "1, 2.5"), ({"a": [1]}, "{a: 1}"), ("", '""'),
     (b"\xff", "b'\\xff'")],
)  # fmt: skip
def test_cells(value, shown):
    assert text.cell(value) == shown


def test_differences_have_a_sign():
    assert [text.signed(x) for x in (0.5, -0.25, 0.0)] == ["+0.5", "-0.25", "±0"]


def test_short_ids_tell_all_runs_apart():
    assert listing.short_ids(["a" * 20, "b" * 20]) == 7
    assert listing.short_ids(["a" * 20, "a" * 9 + "b" * 11]) == 10
    assert listing.short_ids(["a" * 20, "a" * 20]) == 7
    assert listing.short_ids([]) == 7


def test_json_is_one_list_that_any_parser_reads():
    rows = [run(1, metrics={"loss": {"last": math.nan}}, primary=("loss", "minimize")), run(2, name="ü")]
    found = json.loads("".join(listing.json_lines(rows)))
    assert found[0]["metrics"] == {"loss": {"last": {"$": "nan"}}}
    assert found[0]["primary"] == {"metric": "loss", "goal": "minimize"}
    assert found[0]["created"] == codec.format_time(NOW - 60)
    assert found[1]["name"] == "ü"
    assert json.loads("".join(listing.json_lines([]))) == []


def test_csv_has_whole_values():
    rows = [
        run(1, params={"lr": 0.1234567890123}, metrics={"loss": {"last": 1.0, "best": 0.5}}),
        run(2, tags=("a", "b")),
    ]
    keys = listing.csv_keys(rows)
    title, first, second = listing.csv_rows(rows, keys, NOW)
    assert title[-3:] == ["params.lr", "metrics.loss", "metrics.loss.best"]
    assert first[-3:] == [0.1234567890123, 1.0, 0.5]
    assert second[-3:] == ["", "", ""]
    assert second[title.index("tags")] == "a,b"


def test_columns_that_were_asked_for_and_parameters_that_differ_stay_longest():
    rows = [run(number, params={"lr": number, "same": 1}, user={"name": "u"}, host="h") for number in (1, 2)]
    automatic = {one.key: one.keep for one in listing.giving_way(listing.default_columns(rows, 0.0))}
    assert max(keep for key, keep in automatic.items() if key not in ("id", "state")) < 8
    assert listing.column(rows, "params.same", 0.0).keep < listing.column(rows, "params.lr", 0.0).keep
