"""`git track compare`: the table of runs against each other."""

import json
import os
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gittrack.cli import render
from gittrack.cli.asking import chosen, find, find_all, fresh, nothing
from gittrack.cli.context import output_colour
from gittrack.compare import at as moments
from gittrack.compare.grid import Cell, Grid
from gittrack.errors import CannotWrite, RunNotFound, UsageError
from gittrack.lazy import lazy
from gittrack.runs.row import Row

UNASKED = 10  # runs compared when none are named: as many columns as a wide terminal shows
ENDINGS = {".md": "markdown", ".csv": "csv", ".json": "json", ".html": "html", ".htm": "html", ".tex": "latex"}


def compare(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="The runs.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", "-w", metavar="EXPR", help="The runs that answer to EXPR.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="RUN", help="Compare with this run; else the marked baseline.")
    ] = None,
    at: Annotated[str, typer.Option("--at", metavar="best|last|step=N", help="The moment of the metrics.")] = "last",
    group_by: Annotated[
        list[str] | None, typer.Option("--group-by", "-g", metavar="KEY", help="Put runs with equal KEY together.")
    ] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Put runs together that differ in nothing but their seeds.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Show what does not differ, too.")] = False,
    transpose: Annotated[bool, typer.Option("--transpose", "-t", help="Rows for columns.")] = False,
    plot: Annotated[
        str | None, typer.Option("--plot", metavar="METRIC", help="Draw the series of METRIC instead.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="FORMAT", help="table, markdown, csv, json, html or latex."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Write there; its ending can say the format.")
    ] = None,
    number: Annotated[
        int | None, typer.Option("-n", "--number", min=1, metavar="N", help="Of --where, the newest N.")
    ] = None,
) -> None:
    """Compare runs in a table.

    One column per run, one row per parameter or metric in which they differ; --transpose turns it. The best value of a
    metric that has a goal is marked with *, ↓ and ↑ say which way is good. With a baseline, the difference from it
    stands behind each metric.

    --group-by and --seeds put runs together: one row per group, n, mean ± standard deviation, and the p-value of
    Welch's t-test against the group of the baseline. A p-value is that of one comparison: among many, some are small by
    chance.

    --at best takes all metrics at the step where the run's primary metric was best; --at step=N at step N, or the last
    value before.

    Examples:
      git track compare 7c21f 9e0aa
      git track compare --where "tags = sweep" --transpose
      git track compare --where "experiment = iris" --seeds --against baseline-run
      git track compare -g params.lr -g params.batch -o table.tex
      git track compare latest latest~1 --plot loss
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} exclude each other", "choose one of them")
    form = _form("json" if as_json else form, output)
    rows = _rows(runs, where, number, bool(group_by or seeds))
    if not rows:
        if form == "json" and plot is None:
            _write(_no_runs(at, bool(group_by or seeds)), output)
        return nothing(where)
    if seeds and group_by:
        raise UsageError("--seeds and --group-by exclude each other", "choose one of them")
    if plot is not None:
        return _write(_plot(rows, plot, output), output)
    comparing = lazy("gittrack.compare.comparing")
    keys = [key.strip() for text in group_by for key in text.split(",")] if group_by else None
    wish = comparing.Wish(moments.parse(at), everything, keys, seeds)
    place = fresh()
    found = comparing.compare(place.repository, rows, wish, time.time(), _baseline(against, rows), place.settings.goals)
    if form == "table":
        text = _table(comparing.grid(found, transpose), output is None)
    else:
        text = comparing.written(found, form, transpose)
    _write(text, output, form != "table")
    for remark in found.remarks:
        render.say(f"note: {remark}")
    return None


def _no_runs(at: str, grouped: bool) -> str:
    """The document of a comparison of nothing: a program that reads JSON gets JSON."""
    document: dict[str, Any] = {"at": at, "baseline": None, "goals": {}}
    return json.dumps(document | ({"groups": []} if grouped else {"best": {}, "runs": []})) + "\n"


def _form(form: str | None, output: str | None) -> str:
    known = ("table", "json", *(form for form in ENDINGS.values()))
    if form is not None and form not in known:
        raise UsageError(f"{form} is not a format", "choose table, markdown, csv, json, html or latex")
    ending = os.path.splitext(output or "")[1].lower()
    if form is None and ending not in ("", ".txt", *ENDINGS):
        # A text table under the name of a spreadsheet or picture would be found out by whoever opens it.
        raise UsageError(f"no format has the ending {ending}", f"write --format, or one of {', '.join(ENDINGS)}, .txt")
    return form or ENDINGS.get(ending, "table")


def _rows(runs: list[str] | None, where: list[str] | None, number: int | None, grouped: bool) -> list[Row]:
    if runs and where:
        raise UsageError("runs are either named or chosen by --where", "leave one of them out")
    if runs:
        found = {target.id: target for target in find_all(runs, deleted=True)}
        steps = [target for target in found.values() if target.step is not None]
        if steps:
            raise UsageError("compare takes runs; a step is given for all of them", "write --at step=N")
        return [target.row for target in found.values()]
    limit = number if number is not None or where or grouped else UNASKED
    selection = chosen(where, None, limit)
    if selection.total > len(selection.rows) and number is None:
        render.say(f"the newest {len(selection.rows)} of {selection.total:,} runs; choose with RUN..., --where or -n")
    return selection.rows


def _baseline(against: str | None, rows: Sequence[Row]) -> Row | None:
    """The run of --against; else the marked baseline of the experiment that these runs share."""
    if against is not None:
        return find(against).row
    experiments = {row.experiment for row in rows}
    marked = [row for row in fresh().index.marked() if row.experiment in experiments]
    return marked[0] if len(marked) == 1 else None


def _table(grid: Grid, to_output: bool) -> str:
    """The grid on the terminal: sections with headings, and blocks of columns where it is too narrow for all."""
    colour = output_colour() and to_output
    room = render.terminal_width() if to_output else None
    labels, heads, cells = _with_headings(grid)
    columns = [
        render.Column(head, [_marked(row[n]) for row in cells], True, _style if colour else None)
        for n, head in enumerate(heads)
    ]
    first = render.Column(grid.corner, labels)
    text = "\n".join(render.table([first, *block], None, colour)[0] for block in _blocks(first, columns, room))
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _with_headings(grid: Grid) -> tuple[list[str], list[str], list[list[Cell]]]:
    labels: list[str] = []
    cells: list[list[Cell]] = []
    before = ""
    for label, section, row in zip(grid.labels, grid.sections, grid.cells, strict=True):
        if section != before:
            labels.append(section)
            cells.append([Cell("")] * len(grid.heads))
            before = section
        labels.append(f"  {label}" if section else label)
        cells.append(row)
    return labels, grid.heads, cells


def _marked(cell: Cell) -> str:
    return cell.text + (" *" if cell.best else "  ")


def _style(text: str) -> str:
    return "green bold" if text.endswith(" *") else ""


def _blocks(first: render.Column, columns: list[render.Column], room: int | None) -> list[list[render.Column]]:
    if room is None:
        return [columns]
    blocks: list[list[render.Column]] = [[]]
    label = max(map(render.width, [first.title, *first.texts]))
    used = label
    for column in columns:
        size = max(map(render.width, [column.title, *column.texts])) + len(render.GAP)
        if blocks[-1] and used + size > room:
            blocks.append([])
            used = label
        blocks[-1].append(column)
        used += size
    return blocks


def _plot(rows: Sequence[Row], metric: str, output: str | None) -> str:
    having = [row for row in rows if metric in row.metrics]
    if not having:
        known = sorted({name for row in rows for name in row.metrics})
        near = lazy("difflib").get_close_matches(metric, known, 3, 0.4) or known[:8]
        hint = f"metrics that there are: {', '.join(near)}" if near else "these runs have logged no metric"
        raise RunNotFound(f"none of these runs has a metric {metric!r}", hint)
    reader, plotting, repo = lazy("gittrack.runs.reader"), lazy("gittrack.compare.plot"), fresh().repository
    short = lazy("gittrack.compare.listing").short_ids(row.id for row in rows)
    lines = []
    lazy("gittrack.runs.fetching").records(repo, [row.id for row in having if row.archived])
    for row in having:
        points = reader.series(repo, reader.read(repo, row.id), metric)
        label = f"{row.id[:short]}{f' {row.name}' if row.name else ''}"
        lines.append(plotting.Line(label, [point.step for point in points], [point.value for point in points]))
    width = render.terminal_width() or 100
    colour = output is None and output_colour()
    chart: str = plotting.chart(lines, metric, width, max(12, min(24, width // 4)), colour)
    return chart


def _write(text: str, output: str | None, data: bool = False) -> None:
    if output is None:
        return render.data(text) if data else render.write(text)
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CannotWrite(
            f"cannot write {output}: {error.strerror}", "give -o a file in a directory of yours"
        ) from error
    render.say(f"wrote {output}")
    return None
