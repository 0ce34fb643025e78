"""`git track checkout`: code, checkpoints and other files of a run, put back."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.asking import find, fresh
from gittrack.cli.progress import Progress
from gittrack.compare.text import count, json_text, line, size
from gittrack.lazy import lazy
from gittrack.runs import reader
from gittrack.runs.checkout_plan import DIFFERS, IN_THE_WAY, NEW, REFUSED, SAME

if TYPE_CHECKING:
    from gittrack.runs.checkout import Checkout

LISTED = 20
MEANING = {NEW: "new", DIFFERS: "would be overwritten", IN_THE_WAY: "in the way", REFUSED: "refused"}


def checkout(
    run: Annotated[str, typer.Argument(metavar="RUN[@STEP]", help="The run, or a checkpoint of it.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="DIR", help="Restore into DIR, not into the work tree.")
    ] = None,
    paths: Annotated[
        list[str] | None,
        typer.Option("--path", "-p", metavar="PATH", help="Only this file or folder. May be given repeatedly."),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Only the code.")] = False,
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Only the files of the run.")] = False,
    force: Annotated[
        bool, typer.Option("--force", "-f", "--yes", "-y", help="Overwrite without asking; undo brings it back.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put code and files of a run back.

    The code is the run's snapshot, as git would check it out. The files of RUN@STEP and RUN@best are those of that
    checkpoint, as `git track artifacts RUN@STEP` lists them; those of RUN are the latest: the latest checkpoint's, and
    of each path that was logged the last. Without -o the code goes to the top of the work tree and the files to where
    the run had them, images, tables and texts that were logged left aside; with -o everything goes below DIR, and with
    --artifacts DIR holds the files alone. Branch, index and stash are never touched.

    Nothing is overwritten without a word: on a terminal it asks, elsewhere it stops with exit code 82 and names the
    files. What --force overwrites, `git track undo` brings back. Nothing is ever deleted. Every file is compared with
    its digest and appears whole; when the command was killed, call it again. Paths that lead out of the folder, and
    links among the files of a run that do, are left out and named, with exit code 83.

    Examples:
      git track checkout best -o best-model --artifacts
      git track checkout 7c21f@2000 --path model.pt
      git track checkout latest~1 --code --dry-run
    """
    target = find(run, deleted=True)
    place = fresh()
    work: Any = lazy("gittrack.runs.checkout")
    record = reader.read(place.repository, target.id)
    both = code == artifacts
    wish = work.Wish(target.step, code or both, artifacts or both, output, paths or (), contents=place.contents)
    found: Checkout = work.prepare(place.repository, record, wish)
    if dry_run:
        render.write(_document(target.id, found, None) if as_json else _listing(found, LISTED * 50))
        return
    work.refuse(found, force=True)
    if found.plan.of(DIFFERS) and not force:
        force = sys.stdin.isatty() and sys.stderr.isatty() and _agreed(found)
    work.refuse(found, force)
    with Progress("restoring", found.plan.size) as done:
        author = place.author
        notes = work.restore(place.repository, record, found, author.command, author.who, force, done)
    for note in [*found.notes, *notes]:
        render.say(note)
    render.write(_document(target.id, found, len(found.plan.of(NEW, DIFFERS))) if as_json else _summary(found))
    left = work.refused(found)
    if left is not None:
        raise left


def _agreed(found: "Checkout") -> bool:
    sys.stderr.write(_listing(found, LISTED))
    if not typer.confirm("Overwrite? (`git track undo` brings the files back)", err=True):
        raise errors.WouldOverwrite("nothing was restored", "choose another folder with -o DIR")
    return True


def _listing(found: "Checkout", most: int) -> str:
    """What would be done, the files that are the same left aside."""
    lines = [f"in {line(found.root)}:"]
    for state, words in MEANING.items():
        group = found.plan.of(state)
        for one in group[:most]:
            why = f": {line(one.reason)}" if one.reason else ""
            lines.append(f"  {words:{len(MEANING[DIFFERS])}}  {line(one.item.path)}{why}")
        if len(group) > most:
            lines.append(f"  {words:{len(MEANING[DIFFERS])}}  and {len(group) - most:,} more")
    same = len(found.plan.of(SAME))
    return "\n".join([*lines, *([f"  {same:,} files are there and the same"] if same else [])]) + "\n"


def _summary(found: "Checkout") -> str:
    made, same = found.plan.of(NEW, DIFFERS), len(found.plan.of(SAME))
    parts = [f"restored {count(len(made), 'file')} ({size(found.plan.size)}) into {line(found.root)}"]
    replaced = len(found.plan.of(DIFFERS))
    if replaced:
        parts.append(f"{replaced:,} of them overwritten: `git track undo` brings those back")
    if same:
        parts.append(f"{count(same, 'file')} there and the same already")
    return "; ".join(parts) + "\n"


def _document(run_id: str, found: "Checkout", restored: int | None) -> str:
    files = [
        {
            "path": _text(one.item.path),
            "from": one.item.origin,
            "state": one.state,
            "mode": one.item.mode,
            "size": one.item.size,
            **({"reason": _text(one.reason)} if one.reason else {}),
        }
        for one in found.plan.verdicts
    ]
    document = {"run": run_id, "folder": _text(found.root), "restored": restored, "notes": list(found.notes)}
    return json_text(json.dumps(document | {"files": files}, indent=2, ensure_ascii=False)) + "\n"


def _text(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="replace")
