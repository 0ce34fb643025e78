"""Charts: every run distinguishable, no peak lost, nothing crashes on odd values."""

import math

from gittrack.compare import plot


def test_without_colours_each_run_has_its_letter():
    text = plot.chart([plot.Line("one", [0, 5], [1, 2]), plot.Line("two", [0, 5], [2, 1])], "loss", 60, 12, False)
    assert "\033" not in text
    assert text.rstrip().endswith("a one\nb two")
    assert "a" in text.split("step")[0]
    assert "b" in text.split("step")[0]


def test_with_colours_the_terminals_own_background_stays():
    text = plot.chart([plot.Line("one", [0, 5], [1, 2])], "loss", 60, 12, True)
    assert "\033[38;5;" in text
    assert "48;5" not in text


def test_values_that_are_not_finite_are_counted():
    text = plot.chart([plot.Line("one", [0, 1, 2], [1.0, math.nan, math.inf])], "loss", 60, 12, False)
    assert "a one (2 not finite)" in text


def test_a_long_series_keeps_its_peak():
    values = [0.0] * 100_000
    values[77_777] = 5.0
    steps, kept = plot._thinned(list(range(100_000)), values)
    assert len(kept) <= plot.MOST_POINTS + 2
    assert (77_777, 5.0) in zip(steps, kept, strict=True)


def test_one_point_and_none_are_drawn():
    assert "step" in plot.chart([plot.Line("one", [3], [1.0])], "loss", 40, 8, False)
    assert "step" in plot.chart([plot.Line("none", [], [])], "loss", 40, 8, False)


def test_names_cannot_drive_the_terminal():
    assert "\x1b" not in plot.chart([plot.Line("a\x1b[2J", [0, 1], [1, 2])], "l\x1boss", 40, 8, False)


def test_values_at_the_end_of_what_a_float_can_hold_are_left_out_and_counted():
    text = plot.chart([plot.Line("one", [0, 1, 2], [1.0, 1e308, -1e308])], "loss", 60, 12, False)
    assert "a one (2 not finite)" in text
