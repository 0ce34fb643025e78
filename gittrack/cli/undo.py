"""`git track log` and `git track undo`: every change of refs, and the way back from it."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack.cli.asking import find, fresh
from gittrack.cli.context import here
from gittrack.cli.progress import Transfer
from gittrack.cli.render import write
from gittrack.compare.card import artifact, pretty
from gittrack.compare.text import cell, line, size
from gittrack.core.layout import SHORT
from gittrack.errors import RunNotFound, UsageError
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.artifacts import Artifact
    from gittrack.runs.history import Entry
    from gittrack.runs.operations import Operation

SCREENFUL = 30
LISTED = 8
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def log(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only what was said about this run.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", min=0, metavar="N", help="Show at most N.")] = SCREENFUL,
    undone: Annotated[
        bool, typer.Option("--undone", help="With RUN: also what was taken back, and what took it back.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what was changed in this clone, newest first.

    Every change of a ref is one operation with an id that `git track undo` takes. With RUN, what people said about that
    run instead: who named, tagged, noted, deleted it, and when, in whatever clone that was. Who it was is claimed,
    unless the log was signed: then git says whose key that was, and whether the signature is good.

    Examples:
      git track log
      git track log latest
      git track log latest --undone
    """
    if undone and run is None:
        raise UsageError("--undone is about one run", "git track log RUN --undone")
    if run is None:
        kept = lazy("gittrack.runs.operations")
        by_id = {one.id: one for one in kept.log(here().repository)}
        operations = [one for one in kept.begun(by_id.values()) if one.changes or one.outcome != kept.FAILED]
        shown = reversed(operations[max(0, len(operations) - number) :])
        _print((_operation(one, by_id) for one in shown), as_json)
    else:
        said = lazy("gittrack.runs.history").of_run(fresh().repository, _run_id(run), undone, number)
        _print(map(_said, reversed(said)), as_json)


def _run_id(text: str) -> str:
    """The run that is meant; also one that was purged, of which only that is left."""
    try:
        return find(text, deleted=True).id
    except RunNotFound:
        purged: list[str] = lazy("gittrack.share.purge").purged(here().repository, text)
        if len(purged) != 1:
            raise
        return purged[0]


def undo(
    operation: Annotated[
        str | None, typer.Argument(metavar="[OPERATION]", help="The id, or the beginning of it, from `git track log`.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Change nothing; list what can be undone.")] = False,
    as_json: Json = False,
) -> None:
    """Take back the last change.

    Annotations are taken back by one more annotation, refs go back to where they were. An undo is a change, too: a
    second one takes the first one back. To go further back, or to undo what gittrack did by itself, name the operation.

    An undo of a push takes refs away at the remote, or back, where nobody has moved them since; what others have
    fetched they keep.

    Files that were let go of and that `git track gc` has removed since do not come back: they are named.

    Examples:
      git track undo
      git track undo --list
    """
    if show:
        return log(None, SCREENFUL, as_json=as_json)
    place = fresh()
    let_go = lazy("gittrack.runs.let_go")
    before = let_go.said(place.repository).now
    undone = lazy("gittrack.runs.undo").undo(place.repository, place.author, operation, _at_remote)
    back: list[tuple[str, Artifact]] = let_go.needed_again(place.repository, before)
    gone = [(run_id, one) for run_id, one in back if not let_go.is_here(place.repository, one)]
    if as_json:
        files = [{"run": run_id, **artifact(one)} for run_id, one in gone]
        return write(pretty({"undone": [one.id for one in undone.operations], "by": undone.by, "gone": files}))
    kept = lazy("gittrack.runs.operations")
    by_id = {one.id: one for one in kept.log(place.repository)}
    what = kept.story(by_id[undone.by], by_id) if undone.by in by_id else f"undone: {undone.what}"
    return write(f"{line(what)}\n{_gone(gone, len(back))}")


def _at_remote(operations: "Sequence[Operation]") -> str:
    """Take back a push."""
    with Transfer("taking back") as progress:
        by: str = lazy("gittrack.share.undoing").undo(here().repository, operations, here().author, progress)
    return by


def _gone(gone: "list[tuple[str, Artifact]]", count: int) -> str:
    """What an undo could not bring back."""
    if not gone:
        return ""
    shown = [f"  {run_id[:SHORT]}  {line(one.path)}  step {cell(one.step)}  {size(one.size)}" for run_id, one in gone]
    more = [f"  and {len(shown) - LISTED} more"] if len(shown) > LISTED else []
    whole = f"of {count} file{'s' * (count != 1)} that it let go of, {len(gone)} "
    head = f"but {whole}{'is' if len(gone) == 1 else 'are'} gone: their bytes were removed from this clone since"
    hint = "what another store still has, `git track store pull` brings"
    return "\n".join([head, *shown[:LISTED], *more, hint]) + "\n"


def _operation(one: "Operation", by_id: "Mapping[str, Operation]") -> dict[str, Any]:
    return {
        "id": one.id,
        "when": one.when,
        "who": one.who,
        "what": lazy("gittrack.runs.operations").story(one, by_id),
        "outcome": one.outcome,
        "undoes": one.undoes,
        "refs": [list(change) for change in one.changes],
        **(
            {"remote": one.remote.name, "remote_refs": [list(each) for each in one.remote.changes]}
            if one.remote
            else {}
        ),
    }


def _said(entry: "Entry") -> dict[str, Any]:
    op = entry.op
    value = "" if op.value is None else op.value if isinstance(op.value, str) else json.dumps(op.value)
    return {
        "id": op.id[:SHORT],
        "when": op.when,
        "who": op.who,
        "what": f"{op.op} {value}".rstrip(),
        "value": op.value,
        "writer": op.writer,
        "commit": entry.commit,
        "undone": entry.undone,
        "signature": entry.signature._asdict(),
    }


def _vouched(signature: Mapping[str, str]) -> str:
    """Who says that it was them who said it."""
    if signature["state"] == "claimed":
        return "claimed"
    return f"signed by {signature['signer'] or signature['key'] or 'somebody'} ({signature['state']})"


def _print(entries: Iterable[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(list(entries)) + "\n")
        return
    now, age = time.time(), lazy("gittrack.runs.selectors").age
    for one in entries:
        outcome = "" if one.get("outcome", "done") == "done" else f"  [{one['outcome']}]"
        what = line(" ".join(one["what"].split()))
        if "value" in one:  # said about a run, in any clone: by whom is news
            what = f"{line(one['who'])}: {what}  [{line(_vouched(one['signature']))}]" + "  [undone]" * one["undone"]
        sys.stdout.write(f"{one['id']}  {age(one['when'], now):>15}  {what}{outcome}\n")
