"""`git track archive` and `git track unarchive`: whether finished runs have refs of their own."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gittrack import errors
from gittrack.cli import asking, render
from gittrack.cli.progress import Transfer
from gittrack.compare.card import pretty
from gittrack.compare.text import line
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.archiving import Plan, Result
    from gittrack.runs.row import Row
    from gittrack.runs.unarchiving import Result as Returned

LISTED = 10
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def archive(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN...]", help="The runs to archive.")] = None,
    older: Annotated[
        str | None, typer.Option("--older", metavar="TIME", help="Those that ended longer ago than TIME: 30d, 12h.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", "-w", metavar="EXPR", help="All runs that answer to EXPR.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All finished runs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Move finished runs behind three refs.

    Each run has a ref, and every push and fetch of the repository, with gittrack or without, pays for each ref.
    Archived runs have none of their own; everything else stays as it was: every command lists, shows, compares and
    checks them out, and they keep their ids. `git track unarchive` and `git track undo` give them refs again.

    Runs that are going on stay as they are, and so does what is not whole. Old runs are archived by themselves
    (docs/archive.md).

    Examples:
      git track archive --older 30d
      git track archive --where "status = failed" --dry-run
      git track archive 7c21f wide-network
    """
    if bool(runs) + (bool(older) or bool(where)) + everything != 1:
        raise errors.UsageError("give runs, or --older and --where, or --all", "git track help archive")
    place = asking.fresh()
    archiving = lazy("gittrack.runs.archiving")
    ids = _named(runs) if runs else _chosen(older, where)
    if dry_run:
        found: Plan = archiving.plan(place.repository, ids)
        render.write(_document([run.id for run in found.runs], found.left, True) if as_json else _planned(found))
        return
    _agree(ids, bool(runs) or yes)
    done = 0
    with Transfer("archiving") as progress:

        def tell(count: int) -> None:
            nonlocal done
            done += count
            progress("runs", done, len(ids))

        result: Result = archiving.archive(place.repository, ids, place.author, tell)
    lazy("gittrack.record.archiver").tidy(place.paths)
    if as_json:
        render.write(_document(result.done, result.left, False))
    else:
        render.write(_said(len(result.done), "archived") + _left(result.left))
    _complain(runs, result.done, result.left)


def unarchive(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="The runs that are to have refs again.")],
    as_json: Json = False,
) -> None:
    """Give archived runs refs of their own again.

    Their commits come back with the same ids, so that `git log` and other programs can work on them. They are not
    archived by themselves again. What a pull has left at the remote is fetched.

    Examples:
      git track unarchive 7c21f
      git log refs/track/runs/1e/7c21f0a9d4e8b6c3a51e
    """
    place = asking.fresh()
    ids = _named(runs)
    with Transfer("fetching") as progress:
        lazy("gittrack.share.having").records(place.repository, ids, place.author, progress)
    result: Returned = lazy("gittrack.runs.unarchiving").unarchive(place.repository, ids, place.author)
    if as_json:
        render.write(pretty({"unarchived": result.done, "left": result.left}))
    else:
        render.write(_said(len(result.done), "unarchived") + _left(result.left))
    _complain(runs, result.done, result.left)


def _named(texts: Sequence[str]) -> list[str]:
    found = asking.find_all(texts, deleted=True)
    for target, text in zip(found, texts, strict=True):
        if target.step is not None:
            raise errors.UsageError(f"{text} is a checkpoint; runs are archived whole", f"say {target.id[:SHORT]}")
    return list(dict.fromkeys(target.id for target in found))


def _chosen(older: str | None, where: list[str] | None) -> list[str]:
    """Runs that have refs, the oldest first; deleted ones cost as much as others."""
    before = time.time() - _seconds(older) if older else None
    loose: Mapping[str, str] = lazy("gittrack.runs.archiving").loose(asking.fresh().repository)
    rows = asking.chosen(where, "created", None, deleted=True).rows
    ended = lazy("gittrack.runs.archiving").ENDED
    return [
        row.id
        for row in rows
        if row.id in loose and not row.live and row.status in ended and (before is None or _end(row) < before)
    ]


def _end(row: "Row") -> float:
    return row.ended or row.created or 0.0


def _seconds(text: str) -> float:
    try:
        found: float = lazy("gittrack.runs.gc_plan").seconds(text)
    except errors.UsageError as error:
        raise errors.UsageError(error.message, "write --older 30d, 12h, or 4w") from None
    return found


def _agree(ids: Sequence[str], agreed: bool) -> None:
    if not agreed and ids and sys.stdin.isatty() and not typer.confirm(f"Archive {_runs(len(ids))}?", err=True):
        raise errors.UsageError("nothing was archived", "`git track archive --yes` does not ask")


def _planned(found: "Plan") -> str:
    commands = (" ".join(str(run.values["run"].get("command") or "").split())[:60] for run in found.runs)
    shown = [f"  {run.id[:SHORT]}  {line(command)}" for run, command in zip(found.runs, commands, strict=True)]
    more = [f"  and {len(shown) - LISTED} more"] if len(shown) > LISTED else []
    listed = "".join(f"{one}\n" for one in (*shown[:LISTED], *more))
    return f"{_runs(len(found.runs))} would be archived\n{listed}{_left(found.left)}"


def _said(count: int, how: str) -> str:
    return f"{_runs(count)} {how}\n" if count else "nothing to change\n"


def _left(left: Mapping[str, str]) -> str:
    shown = [f"  {run_id[:SHORT]} stays: {line(why)}\n" for run_id, why in left.items()]
    more = f"  and {len(shown) - LISTED} more stay\n" if len(shown) > LISTED else ""
    return "".join(shown[:LISTED]) + more


def _complain(runs: Sequence[str] | None, done: Sequence[str], left: Mapping[str, str]) -> None:
    """Runs that were named and cannot be archived, unless they are already."""
    wrong = [run_id for run_id, why in left.items() if why not in ("it is archived already", "it is not archived")]
    if runs and not done and wrong:
        raise errors.UsageError(f"run {wrong[0][:SHORT]} stays as it is: {left[wrong[0]]}", "git track show RUN")


def _document(done: Sequence[str], left: Mapping[str, str], dry_run: bool) -> str:
    return pretty({"archived": list(done), "left": dict(left), "dry_run": dry_run})


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
