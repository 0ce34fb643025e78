import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.core import codec

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$"), inner),
    max_leaves=20,
)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(VALUES)
def test_what_is_written_reads_back_the_same(value):
    assert same(codec.loads(codec.dumps(value)), value)


@given(VALUES)
def test_one_value_has_one_text(value):
    data = codec.dumps(value)
    assert codec.dumps(codec.loads(data)) == data


def test_integers_and_floats_stay_apart_and_floats_are_shortest():
    assert codec.dumps({"b": 1.0, "a": 1, "c": 0.1}) == b'{"a":1,"b":1.0,"c":0.1}\n'


def test_numbers_that_are_not_finite_have_a_form_that_any_json_parser_reads():
    assert codec.dumps([math.nan, math.inf, -math.inf]) == b'[{"$":"nan"},{"$":"inf"},{"$":"-inf"}]\n'


def test_an_argument_that_is_not_utf8_is_kept_as_its_bytes():
    data = codec.dumps({"argv": ["caf\udce9", "ok"]})
    assert codec.loads(data) == {"argv": [b"caf\xe9", "ok"]}


def test_metrics_of_a_journal_line_may_have_a_metric_called_dollar():
    assert codec.loads('{"m":{"$":1.5,"b":{"$":"inf"}}}') == {"m": {"$": 1.5, "b": math.inf}}


def test_keys_that_are_not_text_are_refused():
    with pytest.raises(TypeError, match="must be text"):
        codec.dumps({1: math.nan})


@given(st.floats(min_value=0, max_value=4e9))
def test_times_keep_their_microseconds(seconds):
    assert abs(codec.parse_time(codec.format_time(seconds)) - seconds) < 2e-6
