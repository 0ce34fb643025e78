"""From measured lines to text: the pages of docs/, and what is said in the terminal on the way."""

import json
import os
from collections.abc import Sequence

from benchmarks import peers
from benchmarks.harness import DIFFERENCE, LIMIT, Line, Spread
from benchmarks.scene import HERE

DOCS = os.path.join(HERE, os.pardir, "docs")
REASONS = os.path.join(HERE, "reasons.json")

MAIN, OF_HOSTS = "benchmarks.md", "benchmarks-hosts.md"

_INTRODUCTION = """\
# Benchmarks

What gittrack costs, each time as a ratio to a floor: the least that the same work can cost with the tools gittrack is
made of. Ours and the floor are measured in turns, in one run on one machine; the table gives medians, with the least
and the greatest in brackets. A figure alone says more about the machine than about the program; the ratio travels.

This page is written by `make bench`. Misses stay in the table, with the reason. Jobs at hosts have
[a page of their own](benchmarks-hosts.md).
"""

_INTRODUCTION_OF_HOSTS = """\
# Benchmarks of jobs at hosts

What `git track run -H` costs beside `ssh`, `scp`, `docker` and `git push`, with the same host, image and connection: a
real SSH server and a real Docker engine on this machine, so that no network hides what the programs themselves take.
How figures are to be read, and everything else, is in [benchmarks.md](benchmarks.md). This page is written by
`make bench`, which needs root for it. Misses stay in the table, with the reason.
"""

_AGAIN = """\
## Measure again

`{command}` measures all of this page, in about {minutes} minutes here, and writes it; `make bench` writes all.
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


def write(name: str, lines: Sequence[Line], failures: dict[str, str], machine: str, day: str, seconds: float) -> None:
    """One page of docs/, in place of the one that is there."""
    with open(os.path.join(DOCS, name), "w") as file:
        file.write(page(name, lines, failures, machine, day, seconds))


def page(name: str, lines: Sequence[Line], failures: dict[str, str], machine: str, day: str, seconds: float) -> str:
    """Its whole text."""
    with open(REASONS) as file:
        reasons: dict[str, str] = json.load(file)
    introduction = _INTRODUCTION_OF_HOSTS if name == OF_HOSTS else _INTRODUCTION
    parts = [introduction, f"Measured on {day}: {machine}.\n", _table(lines)]
    notes = [f"- {line.work}: {line.note}" for line in lines if line.note]
    if notes:
        parts.append("Notes\n\n" + "\n".join(notes) + "\n")
    missed = [f"- **{line.work}**: {reasons.get(line.key, 'not yet explained')}" for line in lines if not line.reached]
    missed += [f"- **{topic}** could not be measured: {why}" for topic, why in failures.items()]
    if missed:
        parts.append("## Missed, and why\n\n" + "\n".join(missed) + "\n")
    if name == MAIN:
        parts.append(_peers())
    command = f".venv/bin/python -m benchmarks --page {name}"
    parts.append(_AGAIN.format(command=command, minutes=max(1, round(seconds / 60))))
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
