"""Series of one metric as a chart of characters: the one door of plotext (its API of version 6)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotext

from gittrack.compare.text import line, number

MARKS = "abcdefghijklmnopqrstuvwxyz"
COLOURS = (12, 10, 9, 14, 13, 11)  # of the terminal's sixteen, so that they fit its background
HIGHEST = 1e300  # beyond, the width of the range is no finite number any more
MOST_POINTS = 2000  # of one line: more than a terminal has places, and plotext takes 20 µs for each


class Line(NamedTuple):
    """One run's series: steps and values of equal length."""

    label: str
    steps: Sequence[int]
    values: Sequence[float]


def chart(lines: Sequence[Line], metric: str, width: int, height: int, colour: bool) -> str:
    """The lines over their steps, with a legend below. What is not finite is left out and counted in the legend.

    Without colours each run is drawn in a letter of its own.
    """
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.theme("simple" if colour else "colorless")
    legend = []
    for number_, one in enumerate(lines):
        mark = MARKS[number_ % len(MARKS)]
        steps, values, left_out = _finite(one)
        if steps:
            signal = figure.signal(*_thinned(steps, values), marker="braille" if colour else mark)
            figure.draw(signal.lines())
        shown = f"\033[38;5;{COLOURS[number_ % len(COLOURS)]}m──\033[0m" if colour else mark
        legend.append(f"{shown} {line(one.label)}{f' ({left_out} not finite)' if left_out else ''}")
    figure.title(line(metric))
    figure.label("step", "x")
    every = [step for one in lines for step in _finite(one)[0]]
    if every:
        _ticks(figure.ruler("x"), min(every), max(every), width)
    text = str(figure.build()).rstrip("\n")
    drawn = text if colour else plotext.uncolorize(text)
    return "\n".join([*(part.rstrip() for part in drawn.split("\n")), *legend]) + "\n"


def _finite(one: Line) -> tuple[list[int], list[float], int]:
    pairs = sorted((s, v) for s, v in zip(one.steps, one.values, strict=True) if abs(v) < HIGHEST)
    return [step for step, _ in pairs], [value for _, value in pairs], len(one.values) - len(pairs)


def _thinned(steps: list[int], values: list[float]) -> tuple[list[int], list[float]]:
    """At most about MOST_POINTS of them: of each stretch its lowest and its highest, so that no peak is lost."""
    size = math.ceil(len(steps) / (MOST_POINTS // 2))
    if size < 3:
        return steps, values
    kept: list[int] = []
    for start in range(0, len(steps), size):
        stretch = range(start, min(start + size, len(steps)))
        kept += sorted({min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)})
    return [steps[n] for n in kept], [values[n] for n in kept]


def _ticks(ruler: "plotext.figure", first: int, last: int, width: int) -> None:
    count = max(2, min(7, width // 12))
    places = sorted({round(first + (last - first) * n / (count - 1)) for n in range(count)})
    ruler.ticks(places, [number(place) if abs(place) >= 10**7 else str(place) for place in places])
