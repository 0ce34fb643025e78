"""`git track show`: everything about one run, or one checkpoint of it."""

import contextlib
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render, render_page
from gittrack.cli.asking import find, fresh
from gittrack.compare import card
from gittrack.compare.listing import time_text
from gittrack.compare.text import cell, line, size
from gittrack.core import layout
from gittrack.lazy import lazy
from gittrack.runs import reader

if TYPE_CHECKING:
    from gittrack.runs.artifacts import Artifact
    from gittrack.runs.selectors import Target

COUNTED = 20_000  # points


def show(
    run: Annotated[str, typer.Argument(metavar="RUN[@STEP]", help="The run, or a checkpoint of it.")] = "latest",
    everything: Annotated[bool, typer.Option("--all", "-a", help="Show system metrics too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the record, annotations, environment.")] = False,
) -> None:
    """Show one run.

    Says how it ended, where its code is and the git commands that get it, its parameters and where each came from, its
    metrics, checkpoints, files, environment, what was left out of the snapshot, and warnings. Without RUN, the latest.

    RUN is an id or the beginning of one, a name, latest, latest~2, best, or best:METRIC; RUN@STEP, RUN@best and
    RUN@latest are checkpoints.

    Examples:
      git track show
      git track show best:val/acc
      git track show 7c21f@2000
      git track show latest --json
    """
    target = find(run, deleted=True)
    repo = fresh().repository
    record = reader.read(repo, target.id)
    if record.archived and record.facts.get("snapshot"):
        with contextlib.suppress(errors.GittrackError):  # so that the git commands shown work
            lazy("gittrack.runs.archives").restore_code(repo, record.facts["snapshot"])
    kept: Any = lazy("gittrack.runs.artifacts")
    if target.step is not None:
        files = lazy("gittrack.runs.choosing").of_step(repo, record, target.step)
        at = next((one for one in reversed(reader.checkpoints(repo, record)) if one.step == target.step), None)
        return _checkpoint(target, at, files, as_json)
    environment, files = reader.environment(repo, record), kept.listed(repo, record)
    if as_json:
        return render.write(card.pretty(card.whole(target.row, record, environment, files)))
    render.write(render_page.title(f"run {target.id}"))
    for part in card.parts(target.row, record, environment, time.time(), everything, files, _steps(repo, record)):
        render.write(render_page.part(part, target.row.status))
    return None


def _steps(repo: Any, record: Any) -> dict[str, int] | None:
    """At how many steps each metric was recorded: what is logged and given to a checkpoint, too, has two points at one.
    None: the run has no checkpoints, or is so long that to count would take a while."""
    found = record.summary.get("metrics") or {}
    if not record.summary.get("checkpoints") or sum(one.get("count") or 0 for one in found.values()) > COUNTED:
        return None
    steps: dict[str, set[int]] = {}
    for one in reader.lines(repo, record):
        for name in one.values:
            steps.setdefault(name, set()).add(one.step)
    return {name: len(known) for name, known in steps.items()}


def _checkpoint(target: "Target", found: reader.Checkpoint | None, files: "list[Artifact]", as_json: bool) -> None:
    """A checkpoint, or (None) a step at which files alone were logged."""
    metrics = dict(found.metrics) if found else {}
    if as_json:
        document: dict[str, Any] = {"id": target.id, "metrics": metrics, "step": target.step}
        document["artifacts"] = [card.artifact(one) for one in files]
        when = {"time": time_text(found.w), "seconds": found.t} if found else {"time": None, "seconds": None}
        return render.write(card.pretty(document | when))
    what = "checkpoint at step" if found else "files of step"
    render.write(render_page.title(f"{what} {target.step} of run {target.id}"))
    lines = [("kept", f"{time_text(found.w)}, {found.t:.1f} s after the start")] if found else []
    snapshot = target.row.snapshot
    lines += [("code", f"git worktree add --detach DIR {snapshot[:10]}")] if snapshot else []
    here = f"{target.id[: layout.SHORT]}@{target.step}"
    lines += [("files", f"git track checkout {here} --artifacts -o DIR")] if files else []
    if found and target.row.tip:
        look = f"git log --grep 'step {target.step}:' {layout.run_ref(target.id)}"
        first = f"git track unarchive {target.id[: layout.SHORT]} && " if target.row.archived else ""
        lines.append(("record", first + look))
    render.write(render_page.part(card.Part("", lines)))
    rows = [(cell(name), cell(value)) for name, value in sorted(metrics.items())]
    render.write(render_page.part(card.Part("metrics", titles=("name", "value"), rows=rows, right=(1,))))
    names = [(line(one.path), size(one.size)) for one in files]
    if names:
        render.write(render_page.part(card.Part("files", titles=("path", "size"), rows=names, right=(1,))))
    return None
