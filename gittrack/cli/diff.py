"""`git track diff`: two runs side by side, and the git diff of their code."""

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack.cli import render, render_page
from gittrack.cli.asking import find, find_all, find_file, fresh
from gittrack.compare import card
from gittrack.compare import diff as diffs
from gittrack.compare.text import line
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.errors import GittrackError, UsageError
from gittrack.lazy import lazy
from gittrack.runs import reader

if TYPE_CHECKING:
    from gittrack.cli.context import Workplace
    from gittrack.compare.weight_files import Side


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="The run to compare with.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The run that is compared.")] = "latest",
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Show the code of these paths only; the weights' file."),
    ] = None,
    stat: Annotated[bool, typer.Option("--stat", help="Of the code, show only which files differ.")] = False,
    code: Annotated[bool, typer.Option("--code", help="Show the code alone.")] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Compare the tensors of A[@STEP] and B[@STEP], and nothing else.")
    ] = False,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="With --weights, tensors as they stand in the file, not by change.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; of the code, the files that differ.")] = False,
) -> None:
    """Show what differs between two runs, code included.

    First facts, parameters, last metrics, packages and environment, differences only; then the git diff of the two
    snapshots, with the pager and the colours that git diff has here. B is the latest run when not given.

    With --weights the tensors of two torch or safetensors files are compared, one after the other: the norm of the
    difference, that over the norm before, and the cosine of the angle between both; those that changed most come first,
    an optimizer's state after the model. Without @STEP it is the file of the latest checkpoint, else the last one that
    holds weights. A:FILE and B:FILE name the files. Nothing in them is executed.

    Examples:
      git track diff best latest
      git track diff 7c21f@best 9e0aa@best --weights
      git track diff 7c21f@10:model.pt 9e0aa:best.pt --weights
      git track diff 7c21f 9e0aa --stat
      git track diff latest~1 latest --code -- train.py
    """
    place = fresh()
    if weights:
        return _weights(place, [first, second], paths or [], in_order, as_json)
    targets = find_all([first, second], deleted=True)
    before, after = (reader.read(place.repository, target.id) for target in targets)
    files = [{}, {}] if code else [reader.environment(place.repository, record) for record in (before, after)]
    found = diffs.between(before, after, *files)
    if as_json:
        document: dict[str, Any] = {"from": before.id, "to": after.id}
        document |= {} if code else diffs.document(found)
        return render.write(card.pretty(document | {"code": _code(place, before, after, paths or [])}))
    with render_page.paged(place.git, "diff") as out:
        if not code:
            names = f"{before.id[: layout.SHORT]} → {after.id[: layout.SHORT]}"
            render_page.put(out, render_page.title(f"from {names}"))
            render_page.put(out, "".join(map(render_page.part, diffs.parts(found))))
            render_page.put(out, "" if found else "\nno difference in parameters, metrics, packages or environment\n")
            render_page.put(out, render_page.part(_heading(before, after)))
        if _both(before, after):
            _git_diff(place, before, after, [*(["--stat"] if stat else []), *_limit(paths)], out)
    return None


def _side(place: "Workplace", text: str, path: str | None) -> "Side":
    """A run or a checkpoint of it, perhaps with a file behind it."""
    try:
        target = find(text, deleted=True)
    except GittrackError:
        if ":" not in text:
            raise
        target, path = find_file(text)
    record = reader.read(place.repository, target.id)
    found: Side = lazy("gittrack.compare.weight_files").Side(record, target.step, path)
    return found


def _weights(place: "Workplace", texts: list[str], paths: list[str], in_order: bool, as_json: bool) -> None:
    if len(paths) > 1:
        raise UsageError("one file of each run is compared at a time", "git track diff A B --weights -- FILE")
    comparing, kept, choice = map(
        lazy, ("gittrack.compare.weights", "gittrack.runs.artifacts", "gittrack.compare.weight_files")
    )
    wanted = paths[0] if paths else None
    sides = [_side(place, text, wanted) for text in texts]
    records = [side.record for side in sides]
    chosen = choice.chosen(place.repository, *sides)
    names = [f"{record.id[: layout.SHORT]}:{line(one.path)}" for record, one in zip(records, chosen, strict=True)]
    with contextlib.ExitStack() as opened:
        sources = [kept.source(place.repository, record, place.contents) for record in records]
        handles = [opened.enter_context(s.open(one)) for s, one in zip(sources, chosen, strict=True)]
        found = comparing.between(*handles, *names, in_order)
    if as_json:
        said = [
            {"run": record.id, "path": one.path, "step": one.step, "sha256": one.sha256}
            for record, one in zip(records, chosen, strict=True)
        ]
        return render.write(card.pretty({"from": said[0], "to": said[1], **comparing.document(found)}))
    with render_page.paged(place.git, "diff") as out:
        shown = [f"{name} (step {one.step})" for name, one in zip(names, chosen, strict=True)]
        render_page.put(out, render_page.title(f"weights from {' → '.join(shown)}"))
        render_page.put(out, "".join(map(render_page.part, comparing.part(found))))
    return None


def _both(before: Record, after: Record) -> bool:
    return bool(before.facts.get("snapshot") and after.facts.get("snapshot"))


def _heading(before: Record, after: Record) -> card.Part:
    """What stands above the diff of the code, or instead of it."""
    missing = [record.id[: layout.SHORT] for record in (before, after) if not record.facts.get("snapshot")]
    if missing:
        return card.Part("code", [("", f"no snapshot was kept of run {' and '.join(missing)}")])
    snapshots = [record.facts["snapshot"][:10] for record in (before, after)]
    same = snapshots[0] == snapshots[1]
    return card.Part("code", [("", f"the same: {snapshots[0]}" if same else f"git diff {' '.join(snapshots)}\n")])


def _limit(paths: list[str] | None) -> list[str]:
    return ["--", *paths] if paths else []


def _snapshots(place: "Workplace", before: Record, after: Record) -> list[str]:
    for record in (before, after):
        lazy("gittrack.runs.fetching").snapshot(place.repository, record.id, record.facts["snapshot"])
    return [before.facts["snapshot"], after.facts["snapshot"]]


def _git_diff(place: "Workplace", before: Record, after: Record, options: list[str], out: int) -> None:
    terminal = "true" if sys.stdout.isatty() else "false"
    colour = place.git.run("config", "--get-colorbool", "color.diff", terminal).strip() == b"true"
    command = ["diff", f"--color={'always' if colour else 'never'}", *_snapshots(place, before, after)]
    stats = [f"--stat={render.terminal_width() or 80}" if option == "--stat" else option for option in options]
    with place.git.popen(*command, *stats, stdout=out, stderr=sys.stderr.fileno(), cwd=os.getcwd()) as process:
        process.wait()


def _code(place: "Workplace", before: Record, after: Record, paths: list[str]) -> dict[str, Any]:
    snapshots = {"before": before.facts.get("snapshot"), "after": after.facts.get("snapshot")}
    if not _both(before, after):
        return {**snapshots, "files": None}
    options = ["diff", "--numstat", "--no-renames", *_snapshots(place, before, after), "-z", *_limit(paths)]
    files = []
    for field in place.git.fields(*options):
        added, deleted, path = field.split("\t", 2)
        binary = added == "-"
        counts = {"added": None if binary else int(added), "deleted": None if binary else int(deleted)}
        files.append({"path": path.encode(errors="surrogateescape").decode(errors="replace"), **counts})
    return {**snapshots, "files": files}
