"""From measured lines to text: the page docs/benchmarks.md, and what is said in the terminal on the way."""

import json
import os
from collections.abc import Sequence

from benchmarks import peers
from benchmarks.harness import DIFFERENCE, LIMIT, Line, Spread
from benchmarks.scene import HERE

PAGE = os.path.join(HERE, os.pardir, "docs", "benchmarks.md")
REASONS = os.path.join(HERE, "reasons.json")

_INTRODUCTION = """\
# Benchmarks

What gittrack costs, each time as a ratio to a floor: the least that the same work can cost with the tools gittrack is
made of. Ours and the floor are measured in turns, in one run on one machine; the table gives medians, with the least
and the greatest in brackets. A figure alone says more about the machine than about the program; the ratio travels.

This page is written by `make bench`. Misses stay in the table, with the reason.
"""

_AGAIN = """\
## Measure again

`make bench` measures everything, in about {minutes} minutes here, and writes this page.
`.venv/bin/python -m benchmarks ls run` measures only the topics named, and prints; `--list` names them all.
Scratch repositories lie below `$TMPDIR`, which should be on the disk that you work on. Nothing else should run.
"""


def text(line: Line) -> str:
    """One line for the terminal."""
    floor = f"{_spread(line.floor_took, line.unit)} → " if line.floor_took else ""
    verdict = "reached" if line.reached else "MISSED"
    note = f"   ({line.note})" if line.note else ""
    took = f"{floor}{_spread(line.ours, line.unit)}: {_figure(line)}"
    return f"{verdict:7} {line.key}: {took}, to reach {_target(line)}{note}"


def page(lines: Sequence[Line], failures: dict[str, str], machine: str, day: str, seconds: float) -> str:
    """The whole of docs/benchmarks.md."""
    with open(REASONS) as file:
        reasons: dict[str, str] = json.load(file)
    parts = [_INTRODUCTION, f"Measured on {day}: {machine}.\n", _table(lines)]
    notes = [f"- {line.work}: {line.note}" for line in lines if line.note]
    if notes:
        parts.append("Notes\n\n" + "\n".join(notes) + "\n")
    missed = [f"- **{line.work}**: {reasons.get(line.key, 'not yet explained')}" for line in lines if not line.reached]
    missed += [f"- **{topic}** could not be measured: {why}" for topic, why in failures.items()]
    if missed:
        parts.append("## Missed, and why\n\n" + "\n".join(missed) + "\n")
    parts += [_peers(), _AGAIN.format(minutes=max(1, round(seconds / 60)))]
    return "\n".join(parts)


def _table(lines: Sequence[Line]) -> str:
    rows = ["| work | floor | floor's figure | gittrack | ratio | to reach | |", "|---|---|---|---|---|---|---|"]
    for line in lines:
        floor = _spread(line.floor_took, line.unit) if line.floor_took else "–"
        cells = [line.work, line.floor or "–", floor, _spread(line.ours, line.unit), _figure(line), _target(line)]
        rows.append("| " + " | ".join([*cells, "reached" if line.reached else "**missed**"]) + " |")
    return "\n".join(rows) + "\n"


def _peers() -> str:
    rows = ["| work | floor there | peers |", "|---|---|---|"]
    rows += [f"| {' | '.join(figures)} |" for figures in peers.FIGURES]
    return f"## Peers\n\n{peers.WHERE}. Compare with their floor, not with ours.\n\n" + "\n".join(rows) + "\n"


def _spread(spread: Spread, unit: str) -> str:
    middle = f"{_number(spread.median)} {unit}".rstrip()
    if len(spread.values) == 1:
        return middle
    return f"{middle} ({_number(spread.low)}–{_number(spread.high)})"


def _figure(line: Line) -> str:
    if line.kind == LIMIT:
        return "–"
    return f"+{_number(line.figure)} {line.unit}" if line.kind == DIFFERENCE else f"{line.figure:.2f} ×"


def _target(line: Line) -> str:
    if line.kind == LIMIT:
        return f"≤ {_number(line.target)} {line.unit}".rstrip()
    return f"≤ +{_number(line.target)} {line.unit}" if line.kind == DIFFERENCE else f"≤ {line.target:g} ×"


def _number(value: float) -> str:
    """Three digits are what such measurements give."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
