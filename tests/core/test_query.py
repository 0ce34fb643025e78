"""The language of `--where`: what it accepts, what it means, and how it refuses."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gittrack.core import expression, fields, moments, query, spans
from gittrack.errors import BadExpression

NOW = moments.utc_seconds((2026, 11, 20, 12, 0, 0))
CLOCK = moments.Clock(NOW)
RUN = {
    "status": "completed", "name": "wide net", "tags": ["good", "v2"], "created": NOW - 3600, "duration": 330.0,
    "params.lr": 0.01, "lr": 0.01, "params.epochs": 10, "params.amp": True, "params.opt": "adam", "loss": 0.25,
    "metrics.val/acc": 0.9, "nothing": None, "bad": float("nan"), "summary.loss": 0.25, "params.target": 0.5,
    "my metric": 3, "exit_code": 0, "commit": "1234567", "notes": [],
}  # fmt: skip


def holds(text):
    return query.parse(text, CLOCK).matches(RUN.get)


@pytest.mark.parametrize(
    "text",
    [
        "status = completed",
        "status == 'completed'",
        "status != failed",
        "status <> failed",
        "params.lr > 0.001 and params.lr < 0.1",
        "0.001 < lr < 0.1",
        "0.01 <= lr",
        "1e-2 = lr",
        "lr=1e-2",
        "LR is null",
        "params.epochs >= 10 AND NOT params.epochs > 10",
        "params.epochs = 10.0",
        "params.amp",
        "params.amp = true",
        "not params.amp = false",
        "params.opt in (sgd, adam)",
        "params.opt not in (sgd, 'rms prop')",
        "params.opt ~ ^ad",
        "params.opt !~ '^da'",
        r"name ~ 'wide\snet'",
        "name like wide*",
        "name not like n*",
        'name like "w?de [n]et"',
        "metrics.val/acc >= 0.9",
        "summary.loss < params.target",
        "loss < params.target or status = failed",
        "`my metric` = 3",
        "tags = good",
        "tags != bad",
        "tags in (v1, v2)",
        "tags like v*",
        "notes is null",
        "nothing is null",
        "loss is not null",
        "not nothing = 3",
        "duration > 5m",
        "duration <= 5m30s",
        "duration = 330",
        "created > 2 days ago",
        "created > '2 days ago'",
        "created < 5m ago",
        "created = today",
        "created >= 2026-11-20",
        "created > yesterday",
        "created = 2026-11-20",
        "created <= 2026-11-20",
        "created < 2026-11-21T00:00",
        "created = '2026-11-20 11:00'",
        "created < '2026-11-20 14:00+01:00'",
        "created not in (yesterday, 2026-11-19)",
        "created < now",
        "bad = nan",
        "bad != 3",
        "loss != nan",
        "lr < inf",
        "exit_code = 0",
        "commit = 1234567",
        "(status = failed or loss < 1) and not (lr > 1)",
        "loss > -1",
    ],
)
def test_true_of_the_run(text):
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "nothing = 3",
        "nothing != 3",
        "nothing < 3",
        "nothing",
        "nothing in (1)",
        "nothing not in (1)",
        "nothing ~ .",
        "nothing !~ x",
        "exit_code",
        "bad < 1",
        "bad > 1",
        "status < 3",
        "tags != good",
        "params.opt = ADAM",
        "created = yesterday",
        "created > 2026-11-20T12:00",
        "lr > params.target",
        "status = failed and loss < 1 or lr > 1",
        "params.amp = 0",
        "notes is not null",
        "commit = 0x12d687",
    ],
)
def test_false_of_the_run(text):
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "at", "word"),
    [
        ("", 0, "missing"),
        ("loss <", 6, "missing"),
        ("loss < 3 lr", 9, "expected `and`"),
        ("loss < 3)", 8, "expected `and`"),
        ("(loss < 3", 9, "`)` is missing"),
        ("loss < and", 7, "value"),
        ("and loss", 0, "name"),
        ("loss = 'a", 7, "not closed"),
        ("loss = `a", 7, "not closed"),
        ("loss ! 3", 5, "means nothing"),
        ("loss = null", 7, "nothing equals null"),
        ("name ~ '('", 7, "regular expression"),
        ("created > soon", 10, "not a time"),
        ("created > 2d", 10, "not a time"),
        ("created = 2026-13-01", 10, "not a time"),
        ("lr in 3", 6, "expected `(`"),
        ("lr in (3", 8, "`,`"),
        ("lr in ()", 7, "value"),
        ("lr is 3", 3, "is null"),
        ("3 ~ lr", 0, "left"),
        ("'x'", 3, "comparison"),
        ("``=3", 0, "empty"),
        ("(" * 60 + "lr" + ")" * 60, 51, "deep"),
    ],
)
def test_an_error_points_at_its_place(text, at, word):
    with pytest.raises(BadExpression) as caught:
        query.parse(text, CLOCK)
    message, line, caret = caught.value.message.split("\n")
    assert word in message
    assert caret.index("^") - 2 == at
    assert line[2:].startswith(text[:60])
    assert caught.value.hint


def test_a_time_without_ago_is_explained():
    with pytest.raises(BadExpression) as caught:
        query.parse("created > 2d", CLOCK)
    assert caught.value.hint == 'write "2d ago"'


def test_a_long_expression_is_shown_around_the_error():
    with pytest.raises(BadExpression) as caught:
        query.parse("a = 1 and " * 100 + "b =", CLOCK)
    _, line, caret = caught.value.message.split("\n")
    assert len(line) < 100
    assert line[: caret.index("^")].endswith("b =")


WORDS = (
    "and or not in is null like true ( ) , = == != < <= > >= ~ !~ lr params.lr `a b` loss created 3 -1e9 nan 'x' ' ` ! "
    '"y\\\\z" 5m ago 2 days yesterday 2026-02-30 2026-11-01 AND é [ * .'
)
words = st.sampled_from(WORDS.split(" "))
texts = st.one_of(st.text(max_size=40), st.lists(words, max_size=14).map(" ".join))


@given(texts)
@example("a = " + "9" * 5000)
@example("created = 0000-01-01")
@example("created > 99999999999999999 years ago")
@example("created > 9" + "9" * 400 + " days ago")
@example("a ~ '(?i'")
@example("not " * 5000 + "a")
def test_parse_gives_an_expression_or_a_bad_expression(text):
    try:
        parsed = query.parse(text, CLOCK)
    except BadExpression as error:
        assert error.message
        return
    parsed.matches(RUN.get)
    parsed.matches(lambda name: None)
    again = query.parse(str(parsed), CLOCK)
    assert again.tree == parsed.tree
    assert str(again) == str(parsed)
    assert parsed.names() == again.names()


@given(
    st.dictionaries(
        words, st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()))
    ),
    texts,
)
def test_no_value_crashes_a_comparison(run, text):
    try:
        parsed = query.parse(text, CLOCK)
    except BadExpression:
        return
    assert parsed.matches(run.get) in (True, False)


@given(st.text(min_size=1), st.text())
@example("inf", "")
def test_any_name_and_any_text_can_be_written(name, text):
    compare = expression.Compare(expression.Name(name), "=", expression.Literal(text, True))
    if name not in query.TIMES:
        assert query.parse(str(compare), CLOCK).tree == compare


def test_names_are_those_that_are_looked_up():
    parsed = query.parse("params.lr < 1 and (loss < params.target or not tags = x)", CLOCK)
    assert parsed.names() == {"params.lr", "loss", "params.target", "tags"}


class Row:
    def __init__(self, **facts):
        self.params, self.metrics = facts.pop("params", {}), facts.pop("metrics", {})
        vars(self).update(facts)


A = Row(id="a", status="completed", created=NOW - 10, params={"lr": 0.1, "status": "x", "a.b": 1}, metrics={
    "loss": {"last": 2.0, "best": 1.0}, "lr": {"last": 9}, "x.best": {"last": 7}})  # fmt: skip


def test_a_short_name_is_a_field_then_a_parameter_then_a_metric():
    assert fields.value(A, "status") == "completed"
    assert fields.value(A, "params.status") == "x"
    assert fields.value(A, "lr") == 0.1
    assert fields.value(A, "metrics.lr") == 9
    assert fields.value(A, "loss") == fields.value(A, "summary.loss") == fields.value(A, "loss.last") == 2.0
    assert fields.value(A, "loss.best") == 1.0
    assert fields.value(A, "x.best") == 7
    assert fields.value(A, "params.a.b") == fields.value(A, "a.b") == 1
    assert fields.value(A, "age", NOW) == 10
    assert fields.value(A, "nowhere") is fields.value(A, "metrics.nowhere.best") is fields.value(A, "loss.odd") is None


def test_an_unknown_name_is_refused_with_the_nearest():
    known = fields.Known([A])
    for text, near in [
        ("params.lrr > 1", "params.lr"),
        ("los < 3", "loss"),
        ("stauts = x", "status"),
        ("params.loss<1", "loss"),
    ]:
        with pytest.raises(BadExpression) as caught:
            query.check(query.parse(text, CLOCK), known)
        assert near in caught.value.hint
        assert "^" in caught.value.message
    query.check(query.parse("loss.best < 1 and params.lr > 0 and metrics.lr > 0 and age < 1h", CLOCK), known)


def test_sort_keys():
    assert query.parse_sort("loss") == [query.SortKey("loss")]
    assert query.parse_sort("val-loss-desc, lr-asc") == [query.SortKey("val-loss", True), query.SortKey("lr")]
    for bad in ("", "-desc", "a,,b"):
        with pytest.raises(BadExpression):
            query.parse_sort(bad)


def test_missing_values_and_nan_sort_last_either_way():
    rows = [Row(id=n, params={} if v is None else {"lr": v}) for n, v in enumerate([3, None, 1, float("nan"), "x", 2])]
    assert [row.id for row in fields.order(rows, query.parse_sort("lr"))] == [2, 5, 0, 4, 1, 3]
    assert [row.id for row in fields.order(rows, query.parse_sort("lr-desc"))] == [4, 0, 5, 2, 1, 3]


def test_the_second_key_decides_among_equals():
    rows = [Row(id=n, params={"a": n % 2, "b": -n}) for n in range(4)]
    assert [row.id for row in fields.order(rows, query.parse_sort("a-desc,b"))] == [3, 1, 2, 0]


@given(st.integers(-62135596800, 253402300799))
def test_our_calendar_agrees_with_the_platform(seconds):
    assert tuple(moments.utc_fields(seconds)) == tuple(time.gmtime(seconds))[:6]
    assert moments.utc_seconds(moments.utc_fields(seconds)) == seconds


def test_days_follow_the_local_zone_over_a_change_of_clocks(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    clock = moments.Clock(
        moments.utc_seconds((2026, 10, 25, 12, 0, 0)), lambda f: time.mktime((*f, 0, 0, -1)), time.localtime
    )
    span = moments.parse_moment("today", clock)
    assert span.end - span.start == 25 * 3600
    assert moments.parse_moment("yesterday", clock).end == span.start


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400), ("2 days", 172800), ("250ms", 0.25),
     ("1.5 hours", 5400), ("1w", 604800), ("5", None), ("", None), ("m", None), ("5 parsecs", None), ("5m x", None)],
)  # fmt: skip
def test_durations(text, seconds):
    assert moments.parse_duration(text) == (pytest.approx(seconds) if seconds else None)


def test_durations_and_ages_are_written_short():
    assert [spans.format_duration(s) for s in (0.42, 9.96, 59.4, 59.6, 3599, 7805, 90000)] == [
        "0.4s", "10s", "59s", "1m 00s", "59m 59s", "2h 10m", "1d 01h"]  # fmt: skip
    assert [spans.format_age(s) for s in (0, 40, 300, 7200, 86400 * 13, 86400 * 60, 86400 * 800)] == [
        "now", "40s", "5m", "2h", "13d", "8w", "2y"]  # fmt: skip
