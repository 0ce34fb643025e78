"""`git track ls`: the list of runs. Called more than anything else here, so it loads what a table needs and no more."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from gittrack.cli import render
from gittrack.cli.asking import chosen, fresh, nothing
from gittrack.cli.context import here, output_colour
from gittrack.compare import listing
from gittrack.compare.selection import Selection
from gittrack.compare.text import line
from gittrack.core import fields
from gittrack.errors import UsageError
from gittrack.lazy import lazy

SCREENFUL = 30


def ls(
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", metavar="EXPR", help="Only runs that answer to EXPR. May be given repeatedly."),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(metavar="REV", help="Only runs of this commit: based on it, kept as it, or become it.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", "-s", metavar="KEY[-desc]", help="Sort by KEY; several with commas.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns", "-c", metavar="KEYS", help="Show these columns, or add them: +KEYS. `help` lists them."
        ),
    ] = None,
    number: Annotated[
        int | None, typer.Option("-n", "--number", min=0, metavar="N", help="Show at most N runs.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Show all runs, not the newest 30.")] = False,
    deleted: Annotated[bool, typer.Option("--deleted", help="Show deleted runs too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with everything that the index knows.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with all parameters and metrics.")] = False,
) -> None:
    """List runs, newest first.

    Shows id, name, age, state, duration, the parameters in which the listed runs differ, and the primary metric: best
    and last. A table shows 30 runs unless told otherwise; --quiet, --json and --csv print all of them.

    EXPR compares names with values: status, name, tags, created, duration and the like, params.NAME, and metrics.NAME
    (the last value; also .best, .min, .max); a short NAME does where it is clear. Operators are = != < <= > >= ~
    (regular expression) like, in (...), is null, and, or, not.

    --commit follows commits through amend and rebase where gittrack's git hooks are installed.

    Examples:
      git track ls --where "params.lr > 0.01 and loss < 0.5"
      git track ls --where "status = failed and created > '2 days ago'"
      git track ls --sort val/acc.best-desc -n 5
      git track ls --columns +user,host
      git track ls --commit HEAD
      git track ls -q --where "tags = try" | xargs git track rm
    """
    if as_json + as_csv + quiet > 1:
        raise UsageError("--json, --csv and --quiet exclude each other", "choose one of them")
    if columns == "help":
        return _list_columns()
    whole = everything or as_json or as_csv or quiet
    limit = number if number is not None else None if whole else SCREENFUL
    every = bool(columns or as_json or as_csv)
    found = chosen(where, sort, None if commit else limit, deleted, all_metrics=every)
    if commit is not None:
        found = _of_commit(found, commit, limit)
    if as_json:
        return _pieces(listing.json_lines(found.rows))
    if as_csv:
        keys = listing.column_keys(columns, _known(found)) if columns else listing.csv_keys(found.rows)
        text = lazy("io").StringIO()
        lazy("csv").writer(text, lineterminator="\n").writerows(listing.csv_rows(found.rows, keys, time.time()))
        return render.data(text.getvalue())
    if not found.rows:
        return _nothing(where, commit) if not found.total else None
    if quiet:
        return render.write("".join(row.id + "\n" for row in found.rows))
    return _table(found, columns)


def _of_commit(found: Selection, commit: str, limit: int | None) -> Selection:
    answers = lazy("gittrack.runs.of_commit").runs_of_commit(here().repository, commit)
    rows = [row for row in found.rows if answers(row)]
    return found._replace(rows=rows if limit is None else rows[:limit], total=len(rows))


def _nothing(where: list[str] | None, commit: str | None) -> None:
    if commit is None or where:
        return nothing(where)
    return render.say(
        f"no run is of commit {line(commit)}; `git track ls --columns +base,snapshot` shows what they are of"
    )


def _pieces(pieces: Iterator[str]) -> None:
    for piece in pieces:
        render.write(piece)


def _table(found: Selection, wanted: str | None) -> None:
    now = time.time()
    short = listing.short_ids(row.id for row in found.rows)
    columns = listing.default_columns(found.rows, now, short) if wanted is None or wanted.startswith("+") else []
    if wanted is not None:
        asked = [listing.column(found.rows, key, now, short) for key in listing.column_keys(wanted, _known(found))]
        columns = listing.giving_way(columns) + [column._replace(keep=max(column.keep, 8)) for column in asked]
    colour = output_colour()
    shown = [
        render.Column(column.title, column.texts, column.right, style_of(column.key) if colour else None, column.keep)
        for column in columns
    ]
    text, left_out = render.table(shown, render.terminal_width(), colour)
    render.write(text)
    more = found.total - len(found.rows)
    if left_out:
        render.say(f"no room for {', '.join(left_out)}; choose columns with --columns")
    if more > 0:
        render.say(f"{more:,} more: --all shows all runs, -n N the newest N")


def style_of(key: str) -> Callable[[str], str] | None:
    """The style of a column's texts."""
    if key == "id":
        return lambda _: "yellow"
    if key in ("state", "status"):
        return render.state_style
    if key == "age":
        return lambda _: "dim"
    return None


def _known(found: Selection) -> fields.Known:
    return found.known or fields.Known(here().index.rows(deleted=True))


def _list_columns() -> None:
    known = fields.Known(fresh().index.rows(deleted=True))
    names = [*fields.FIELDS, fields.AGE, *(f"params.{name}" for name in sorted(known.params))]
    for name in sorted(known.metrics):
        names += [f"metrics.{name}", f"metrics.{name}.best"]
    render.write("".join(line(name) + "\n" for name in names))
