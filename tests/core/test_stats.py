"""Judged by scipy, which the package itself does not use."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.core import stats

scipy_stats = pytest.importorskip("scipy.stats")
scipy_special = pytest.importorskip("scipy.special")

numbers = st.integers(-5000, 5000).map(lambda value: value / 64)


@given(st.lists(numbers, min_size=2, max_size=12), st.lists(numbers, min_size=2, max_size=12))
def test_welch_agrees_with_scipy(first, second):
    ours = stats.welch(first, second)
    if len(set(first)) == 1 and len(set(second)) == 1:
        return
    theirs = scipy_stats.ttest_ind(first, second, equal_var=False)
    assert ours.t == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)


@given(st.floats(0, 1), st.floats(0.1, 500), st.floats(0.1, 500))
def test_incomplete_beta_agrees_with_scipy(x, a, b):
    assert stats.incomplete_beta(x, a, b) == pytest.approx(scipy_special.betainc(a, b, x), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("t", [0, 1e-12, 0.1, 2, 30, 1e5])
@pytest.mark.parametrize("df", [1, 1.5, 4, 100, 1e6])
def test_two_sided_agrees_with_scipy_in_the_tails(t, df):
    expected = 2 * scipy_stats.t.sf(t, df)
    assert stats.two_sided(t, df) == pytest.approx(expected, rel=1e-7, abs=1e-290)


def test_a_known_example_has_its_known_p_value():
    """The first example of https://en.wikipedia.org/wiki/Welch%27s_t-test: t = -2.46, 25.0 degrees, p = 0.021."""
    first = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    second = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    result = stats.welch(first, second)
    assert (round(result.t, 2), round(result.df, 1), round(result.p, 3)) == (-2.46, 25.0, 0.021)


def test_nan_is_left_out():
    assert stats.summarize([1.0, math.nan, 3.0]) == stats.Summary(2, 2.0, math.sqrt(2))


def test_one_number_has_no_spread_and_none_has_no_mean():
    assert stats.summarize([4])[:2] == (1, 4.0)
    assert math.isnan(stats.summarize([4]).std)
    assert math.isnan(stats.summarize([]).mean)
    assert math.isnan(stats.summarize([math.nan]).mean)


def test_equal_numbers_have_exactly_no_spread():
    assert stats.summarize([0.1] * 7) == stats.Summary(7, 0.1, 0.0)


def test_infinities_do_not_crash():
    assert stats.summarize([1.0, math.inf]).mean == math.inf
    assert math.isnan(stats.welch([1.0, math.inf], [1.0, 2.0]).p)


def test_too_few_runs_are_not_tested():
    assert math.isnan(stats.welch([1.0], [1.0, 2.0]).p)
    assert math.isnan(stats.welch([], []).p)


def test_constant_groups():
    assert math.isnan(stats.welch([1, 1], [1, 1]).p)
    assert stats.welch([1, 1], [2, 2])[::2] == (-math.inf, 0.0)
    assert stats.welch([1, 1], [1.0, 2.0]).p == pytest.approx(
        scipy_stats.ttest_ind([1, 1], [1, 2], equal_var=False).pvalue
    )


def test_tiny_and_huge_numbers_keep_their_spread():
    assert stats.summarize([1e-200, 3e-200]).std == pytest.approx(math.sqrt(2) * 1e-200)
    assert stats.summarize([1e200, 3e200]).std == pytest.approx(math.sqrt(2) * 1e200)
    assert stats.welch([1e200, 3e200], [1e200, 4e200]).p == pytest.approx(stats.welch([1, 3], [1, 4]).p)
