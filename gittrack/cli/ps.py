"""`git track ps`: the runs that are going on."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from gittrack.cli import render
from gittrack.cli.asking import fresh
from gittrack.cli.context import output_colour
from gittrack.cli.ls import style_of
from gittrack.compare import listing
from gittrack.compare.text import MISSING, cell
from gittrack.core import spans
from gittrack.runs.row import LOST, QUEUED, Row

SHOWN_METRICS = 3


def ps(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with everything that is known.")] = False,
) -> None:
    """List the runs that are going on, with their progress.

    Shows how long each has been running, its latest step, its latest metrics (the primary one first), where it runs and
    what. A run whose processes cannot be seen from here and that has gone quiet is `lost?`.

    Examples:
      git track ps
      watch -n 5 git track ps
    """
    index = fresh().index
    rows = [row for status in ("running", QUEUED, LOST) for row in index.rows(status=status)]
    rows.sort(key=lambda row: (row.created or 0.0, row.id), reverse=True)
    if as_json:
        return render.write("".join(listing.json_lines(rows)))
    if quiet:
        return render.write("".join(row.id + "\n" for row in rows))
    if not rows:
        return render.say("no run is going on; `git track ls` lists those that have ended")
    columns = [
        render.Column(column.title, column.texts, column.right, style_of(column.key), column.keep)
        for column in _columns(rows, time.time())
    ]
    colour = output_colour()
    text, _ = render.table(columns, render.terminal_width(), colour)
    render.write(text)
    return None


def _columns(rows: Sequence[Row], now: float) -> list[listing.Column]:
    short = listing.short_ids(row.id for row in rows)
    found = [listing.column(rows, "id", now, short)]
    found += [listing.column(rows, "name", now)] if any(row.name for row in rows) else []
    elapsed = [spans.format_duration(listing.duration(row, now) or 0.0) for row in rows]
    return [
        *found,
        listing.column(rows, "state", now),
        listing.Column("elapsed", "elapsed", elapsed, right=True),
        listing.Column("step", "step", [cell(step(row)) for row in rows], right=True),
        listing.Column("metrics", "metrics", [metrics(row) for row in rows], keep=8),
        listing.column(rows, "host", now),
        listing.Column("command", "command", [listing.clipped(cell(row.command)) for row in rows], keep=2),
    ]


def step(row: Row) -> int | None:
    """The highest step that any metric of the run has reached; those of the machine have steps of their own."""
    steps = [s.get("last_step") for name, s in row.metrics.items() if not name.startswith(listing.SYSTEM)]
    return max((s for s in steps if s is not None), default=None)


def metrics(row: Row) -> str:
    """`loss 0.25, acc 0.9`."""
    names = sorted(name for name in row.metrics if not name.startswith(listing.SYSTEM))
    names.sort(key=lambda name: not (row.primary and name == row.primary[0]))
    shown = [f"{cell(name)} {cell(row.metrics[name].get('last'))}" for name in names[:SHOWN_METRICS]]
    return ", ".join(shown) or MISSING
