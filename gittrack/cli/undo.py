"""`git track log` and `git track undo`: every change of refs, and the way back from it."""

import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack.cli.asking import find, fresh
from gittrack.cli.context import here
from gittrack.compare.text import line
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.core.annotations import Op
    from gittrack.runs.operations import Operation

SCREENFUL = 30
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def log(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only what was said about this run.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=0, metavar="N", help="Show at most N.")] = SCREENFUL,
    as_json: Json = False,
) -> None:
    """List what was changed in this clone, newest first.

    Every change of a ref is one operation with an id that `git track undo` takes. With RUN, what people said about that
    run instead: who named, tagged, noted, deleted it, and when, in whatever clone that was.

    Examples:
      git track log
      git track log latest
    """
    if run is None:
        kept = lazy("gittrack.runs.operations")
        operations = kept.begun(kept.log(here().repository))
        _print(map(_operation, reversed(operations[max(0, len(operations) - number) :])), as_json)
    else:
        target = find(run, deleted=True)
        said = lazy("gittrack.runs.annotations").history(fresh().repository, target.id)
        _print(map(_said, reversed(said[max(0, len(said) - number) :])), as_json)


def undo(
    operation: Annotated[
        str | None, typer.Argument(metavar="[OPERATION]", help="The id, or the beginning of it, from `git track log`.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Change nothing; list what can be undone.")] = False,
    as_json: Json = False,
) -> None:
    """Take back the last change.

    Annotations are taken back by one more annotation, refs go back to where they were. An undo is a change, too: a
    second one takes the first one back. To go further back, name the operation.

    Examples:
      git track undo
      git track undo --list
    """
    if show:
        return log(None, SCREENFUL, as_json)
    place = fresh()
    undone = lazy("gittrack.runs.undo").undo(place.repository, place.author, operation)
    if as_json:
        sys.stdout.write(json.dumps({"undone": [one.id for one in undone.operations], "by": undone.by}) + "\n")
    else:
        sys.stdout.write(f"undone: {line(undone.what)}\n")
    return None


def _operation(one: "Operation") -> dict[str, Any]:
    return {
        "id": one.id,
        "when": one.when,
        "who": one.who,
        "what": lazy("gittrack.runs.operations").describe(one),
        "outcome": one.outcome,
        "undoes": one.undoes,
        "refs": [list(change) for change in one.changes],
    }


def _said(op: "Op") -> dict[str, Any]:
    value = "" if op.value is None else op.value if isinstance(op.value, str) else json.dumps(op.value)
    return {"id": op.id[:SHORT], "when": op.when, "who": op.who, "what": f"{op.op} {value}".rstrip(), "value": op.value}


def _print(entries: Iterable[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(list(entries)) + "\n")
        return
    now, age = time.time(), lazy("gittrack.runs.selectors").age
    for one in entries:
        outcome = "" if one.get("outcome", "done") == "done" else f"  [{one['outcome']}]"
        what = line(" ".join(one["what"].split()))
        if "value" in one:  # said about a run, in any clone: by whom is news
            what = f"{line(one['who'])}: {what}"
        sys.stdout.write(f"{one['id']}  {age(one['when'], now):>15}  {what}{outcome}\n")
