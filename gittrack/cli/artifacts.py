"""`git track artifacts` and `git track cat`: which files a run has, and the content of one."""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.asking import find, find_file, fresh
from gittrack.cli.context import output_colour
from gittrack.compare import card
from gittrack.compare.listing import time_text
from gittrack.compare.text import cell, count, line, lines, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy
from gittrack.runs import reader

if TYPE_CHECKING:
    from gittrack.runs.artifacts import Artifact


def artifacts(
    run: Annotated[str, typer.Argument(metavar="RUN[@STEP]", help="The run, or a checkpoint of it.")] = "latest",
    long: Annotated[bool, typer.Option("--long", "-l", help="Show digest, mode and time, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the files that were kept with a run.

    Files of checkpoints and files that were logged, in the order in which they were kept; with RUN@STEP those of the
    checkpoint of that step, or, where it has none, those that were logged at exactly that step. Without RUN, the
    latest.

    `where` says whether a file lies in git, with the record, or in the store. `let go`: the next `git track gc` may
    remove it; `gone`: it has done so.

    Examples:
      git track artifacts
      git track artifacts best@best --long
    """
    target = find(run, deleted=True)
    repo = fresh().repository
    record = reader.read(repo, target.id)
    kept: Any = lazy("gittrack.runs.artifacts")
    choosing: Any = lazy("gittrack.runs.choosing")
    found = kept.listed(repo, record) if target.step is None else choosing.of_step(repo, record, target.step)
    let_go: Any = lazy("gittrack.runs.let_go")
    states: list[str] = let_go.states(repo, let_go.said(repo), record.id, found)
    if as_json:
        return render.write(card.pretty([{**card.artifact(one), "state": state}
                                         for one, state in zip(found, states, strict=True)]))  # fmt: skip
    if not found:
        return render.say(
            f"run {target.id[:SHORT]} has no files; run.checkpoint(path=…) and run.log_artifact keep them"
        )
    columns = [
        render.Column("path", [line(one.path) for one in found], keep=9),
        render.Column("step", [cell(one.step) for one in found], right=True),
        render.Column("size", [size(one.size) for one in found], right=True),
        render.Column("kind", [cell(one.kind) for one in found], keep=5),
        render.Column("where", [_where(*each) for each in zip(found, states, strict=True)], keep=6),
    ]
    if long:
        columns += [
            render.Column("mode", [cell(one.mode) for one in found], keep=3),
            render.Column("kept", [time_text(one.w) for one in found], keep=2),
            render.Column("sha256", [one.sha256 for one in found]),
        ]
    render.write(render.table(columns, None if long else render.terminal_width(), output_colour())[0])
    if sys.stdout.isatty():
        whole, different = sum(one.size for one in found), kept.size_of(found)
        once = f"; {size(different)} where what is equal is there once" if different != whole else ""
        render.write(f"{count(len(found), 'file')}, {size(whole)}{once}\n")
    return None


def _where(one: "Artifact", state: str) -> str:
    """What is let go of may still be there; small files in git stay in any case."""
    return cell(one.where) if state == "kept" else state if state == "gone" else f"{one.where}, {state}"


def cat(
    file: Annotated[str, typer.Argument(metavar="RUN[@STEP]:PATH", help="The run or checkpoint, and the file.")],
) -> None:
    """Print a file of a run.

    PATH is a file as `git track artifacts` lists it, else one of the run's code. Of a file that was kept repeatedly,
    the last one; with RUN@STEP that of the checkpoint of that step, else the one that was logged at exactly that step.
    Bytes go out as they are; on a terminal, what is no text is not shown.

    Examples:
      git track cat latest:confusion.csv
      git track cat best@best:model.pt > model.pt
      git track cat 7c21f@3:weights.json
      git track cat 7c21f:train.py
    """
    target, path = find_file(file)
    place = fresh()
    repo = place.repository
    record = reader.read(repo, target.id)
    kept: Any = lazy("gittrack.runs.artifacts")
    choosing: Any = lazy("gittrack.runs.choosing")
    chosen = choosing.find(repo, record, path, target.step)
    if chosen is not None:
        with contextlib.closing(kept.source(repo, record, place.contents).pieces(chosen)) as pieces:
            return _print(pieces)
    snapshot = record.facts.get("snapshot")
    if snapshot:
        lazy("gittrack.runs.fetching").snapshot(repo, record.id, snapshot)
    data = repo.read_path(snapshot, path) if snapshot else None
    if data is None:
        below = (
            repo.git.call("ls-tree", "-r", "-z", "--name-only", snapshot, "--", path.rstrip("/") + "/")
            if snapshot
            else None
        )
        names = [os.fsdecode(name) for name in below.out.split(b"\0")[:-1]] if below and below.code == 0 else []
        if names and target.step is None:
            raise choosing.nothing(f"the code of {record.id[:SHORT]}", path, names)
        raise choosing.missing(repo, record, path, target.step)
    return _print(iter([data]))


def _print(pieces: Iterator[bytes]) -> None:
    if not sys.stdout.isatty():
        sys.stdout.flush()
        for data in pieces:
            render.put(data)
        return
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")  # pieces end within characters
    for data in pieces:
        if b"\0" in data:
            raise errors.UsageError("this is no text, and this is a terminal", "send it elsewhere: … > FILE")
        render.write(lines(decoder.decode(data)))
    render.write(lines(decoder.decode(b"", final=True)))
