"""What people say about runs: rename, tag, untag, note, baseline, rm, restore. One operation each, so one undo each."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gittrack import errors
from gittrack.cli.asking import chosen, find_all, fresh
from gittrack.compare.text import line
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.annotations import Annotations

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id prefix, name, latest, latest~2, best or best:METRIC.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def rename(
    run: Run,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The new name.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the name away.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Although another run has that name.")] = False,
    as_json: Json = False,
) -> None:
    """Give a run a name.

    A name that could be taken for an id or a keyword is refused.

    Examples:
      git track rename latest wide-network
      git track rename wide-network --clear
    """
    if (name is None) != clear:
        raise errors.UsageError("give either a NAME or --clear", "git track rename RUN NAME")
    ids = _ids([run])
    changed = _annotations().rename(ids[0], name, force)
    _report(ids, changed, f"is called {name}" if name else "has no name", as_json)


def tag(
    run: Run,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="One or more tags.")],
    as_json: Json = False,
) -> None:
    """Tag a run.

    Examples:
      git track tag latest good paper
      git track ls --where "tags = good"
    """
    ids = _ids([run])
    _report(ids, _annotations().tag(ids, tags), f"has {', '.join(tags)}", as_json)


def untag(
    run: Run,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="The tags to take off.")],
    as_json: Json = False,
) -> None:
    """Take tags off a run.

    Examples:
      git track untag latest good
    """
    ids = _ids([run])
    _report(ids, _annotations().untag(ids, tags), f"has {', '.join(tags)} no more", as_json)


def note(
    run: Run,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT...]", help="The note; - or nothing reads it from a pipe.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a note to a run.

    Without TEXT the note is read from standard input, or written in your editor when that is a terminal.

    Examples:
      git track note latest "the loss explodes after epoch 3"
      nvidia-smi | git track note latest
    """
    ids = _ids([run])
    said = " ".join(text) if text and text != ["-"] else _written()
    _report(ids, _annotations().note(ids, said.strip()), "has one more note", as_json)


def baseline(
    run: Run,
    clear: Annotated[bool, typer.Option("--clear", help="Take the mark away.")] = False,
    as_json: Json = False,
) -> None:
    """Mark the run that others are compared with.

    `git track compare` shows differences to it. Each experiment has one: marking another run moves the mark.

    Examples:
      git track baseline best
      git track baseline latest --clear
    """
    ids = _ids([run])
    changed = _annotations().baseline(ids[0], not clear)
    _report(ids, changed, "is no longer the baseline" if clear else "is the baseline", as_json)


def rm(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN...]", help="The runs to delete.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", "-w", metavar="EXPR", help="Delete all runs that answer to EXPR.")
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Let go of the runs' large files; the runs themselves stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete runs from every list.

    Nothing is lost: `git track restore` and `git track undo` bring them back, and `ls --deleted` shows them. With
    --artifacts the runs stay, with their metrics, and only their files in the store are not needed any more:
    `git track gc` removes them, and until then `git track undo` takes it back.

    Examples:
      git track rm latest
      git track rm 7c21f --artifacts
      git track rm --where "status = failed and created < '30 days ago'"
    """
    if bool(runs) == bool(where):
        raise errors.UsageError("give either runs or --where", "git track rm RUN...")
    ids = [row.id for row in chosen(where, None, None).rows] if where else _ids(runs or [], deleted=artifacts)
    if artifacts:
        return _let_go(ids, as_json)
    return _report(ids, _annotations().delete(ids), "deleted", as_json)


def _let_go(ids: Sequence[str], as_json: bool) -> None:
    place, pruning = fresh(), lazy("gittrack.runs.pruning")
    reader = lazy("gittrack.runs.reader")
    parcels = {run_id: pruning.all_of(place.repository, reader.read(place.repository, run_id)) for run_id in ids}
    changed = pruning.prune(place.repository, parcels, place.author)
    _report(ids, changed, "needs its files no more; `git track gc` frees what no other run needs", as_json)


def restore(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="The runs to bring back.")],
    as_json: Json = False,
) -> None:
    """Bring deleted runs back.

    Examples:
      git track restore 7c21fab
      git track ls --deleted
    """
    ids = _ids(runs, deleted=True)
    _report(ids, _annotations().restore(ids), "restored", as_json)


def _ids(texts: Sequence[str], deleted: bool = False) -> list[str]:
    found = find_all(texts, deleted)
    for target, text in zip(found, texts, strict=True):
        if target.step is not None:
            raise errors.UsageError(
                f"{text} is a checkpoint; only a whole run can be annotated", f"say {target.id[:SHORT]}"
            )
    return list(dict.fromkeys(target.id for target in found))


def _annotations() -> "Annotations":
    place = fresh()
    found: Annotations = lazy("gittrack.runs.annotations").Annotations(place.repository, place.index, place.author)
    return found


def _written() -> str:
    """A note from a pipe, or from the editor of someone who sits at a terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.read()
    written = lazy("click").edit("")
    if written is None or not written.strip():
        raise errors.UsageError("no note was written", "git track note RUN TEXT")
    text: str = written
    return text


def _report(ids: Sequence[str], changed: int, what: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"runs": list(ids), "changed": changed}) + "\n")
    elif changed:
        shown = ids[0][:SHORT] if len(ids) == 1 else f"{changed} runs"
        sys.stdout.write(f"{shown} {line(what)}\n")
    else:
        sys.stdout.write("nothing to change\n")
