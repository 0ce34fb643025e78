"""`git track export` and `git track import`: runs in a file, to be shared without a server."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.asking import chosen, find_all, fresh
from gittrack.cli.at_remote import keyed
from gittrack.cli.context import Workplace, here
from gittrack.cli.progress import Progress, Transfer
from gittrack.compare.text import count, json_text, line, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.share.bundles import Plan
    from gittrack.share.importing import Taken
    from gittrack.share.journals import Journal

LISTED = 10


def export(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN...]", help="The runs.")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="The bundle to write.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", "-w", metavar="EXPR", help="Export the runs that answer to EXPR.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Export all runs.")] = False,
    no_code: Annotated[bool, typer.Option("--no-code", help="Leave the code out.")] = False,
    no_artifacts: Annotated[bool, typer.Option("--no-artifacts", help="Leave large files out.")] = False,
    since: Annotated[
        list[str] | None,
        typer.Option(metavar="REV", help="Leave out commits that whoever gets it has: all up to REV."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", "--yes", "-y", help="Replace FILE if it is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write runs to a file that can be sent to anybody.

    The file is a git bundle: records, code with its history, what people said about the runs, and their files.
    `git track import FILE` takes it up; `git bundle verify FILE` and `git fetch FILE` read it, too. What people said
    about other runs, in the same clones, goes along.

    The history of the code can be large: --since origin/main leaves out what everybody has who has cloned the project.
    Archived runs are written as if they were not; what a pull has left at the remote is fetched. Runs that are still
    going are left out, and so are deleted ones unless you name them.

    Examples:
      git track export best -o best.bundle
      git track export --where "tags = paper" -o paper.bundle --since origin/main
      git track export --all -o backup.bundle
    """
    if output is None:
        raise errors.UsageError("say which file to write", "git track export RUN... -o FILE.bundle")
    if bool(runs) + bool(where) + everything != 1:
        raise errors.UsageError("say which runs: RUN..., --where EXPR or --all", "git track help export")
    if os.path.lexists(output) and not force and not dry_run:
        raise errors.WouldOverwrite(f"{output} is there already", "choose another name, or --force replaces it")
    work: Any = lazy("gittrack.share.bundles")
    ids = _ids(runs, where, everything)
    place = here()
    with Transfer("fetching") as progress:
        lazy("gittrack.share.having").records(place.repository, ids, place.author, progress)
    plan: Plan = work.prepare(place.repository, work.Wish(ids, not no_code, not no_artifacts, since or ()))
    if not plan.runs:
        raise errors.RunNotFound("there is no run to export", "`git track ls` lists the runs of this repository")
    for remark in _remarks(plan):
        render.say(remark)
    if dry_run:
        return render.write(_plan_document(plan) if as_json else f"would write {_contents(plan)} to {line(output)}\n")
    with Transfer("exporting") as progress:
        written = work.write(place.repository, plan, output, progress)
    said = f"wrote {_contents(plan)} to {line(output)} ({size(written)})\n"
    return render.write(_plan_document(plan, output, written) if as_json else said)


def import_command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A bundle, a repository, or the folder of a journal.")],
    no_artifacts: Annotated[bool, typer.Option("--no-artifacts", help="Leave large files out.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would come, and take nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take runs out of a file or a folder.

    PATH is a bundle that `git track export` wrote; the folder of another repository; or the folder with the journal of
    a run that was recorded where this repository is not: that of a container of `git track image build RUN`, or what
    GITTRACK_RUN_DIR named. All of it comes: records, code, annotations and files.

    What comes is judged as what a pull brings: damaged and forged content is refused, and nothing here is overwritten.
    Done again, it changes nothing. `git track undo` takes it back.

    Examples:
      git track import best.bundle
      git track import ../old-clone --dry-run
      git track import /scratch/job-17/run
    """
    place = fresh()
    work: Any = lazy("gittrack.share.importing")
    if work.kind_of(path) == work.JOURNAL:
        return _import_journal(place, path, dry_run, as_json)
    with work.opened(place.repository, path) as source:
        if dry_run:
            return _tell(work.preview(place.repository, source), path, as_json)
        with Transfer("importing") as progress, Progress("storing", 0) as stored:
            taken: Taken = work.take(place.repository, source, place.author, not no_artifacts, progress, stored)
    remarks: Any = lazy("gittrack.cli.pull")
    for remark in remarks._remarks(taken.result):
        render.say(remark)
    if taken.files.missing:
        render.say(f"{count(len(taken.files.missing), 'file')} of these runs did not come along")
    return render.write(_taken_document(taken, path) if as_json else _taken(taken, path))


def _ids(runs: Sequence[str] | None, where: list[str] | None, everything: bool) -> list[str]:
    if runs:
        return [target.id for target in find_all(runs, deleted=True)]
    return [row.id for row in chosen(where if not everything else None, None, None, all_metrics=False).rows]


def _contents(plan: "Plan") -> str:
    parts = [
        count(len(plan.runs), "run"),
        count(len(plan.code), "snapshot") if plan.code else "no code",
        f"{count(len(plan.files), 'file')} ({size(plan.size)})" if plan.files else "",
        count(len(plan.logs), "annotation log") if plan.logs else "",
    ]
    return ", ".join(filter(None, parts))


def _remarks(plan: "Plan") -> list[str]:
    found = []
    if plan.live:
        found.append(f"still going, so left out: {', '.join(run_id[:SHORT] for run_id in plan.live[:LISTED])}")
    if plan.missing:
        found.append(
            f"{count(len(plan.missing), 'file')} not in this clone, so left out; `git track store pull` brings them"
        )
    if plan.no_code:
        shown = ", ".join(run_id[:SHORT] for run_id in plan.no_code[:LISTED])
        found.append(f"the code of these runs is not in this clone, so left out: {shown}")
    return found


def _plan_document(plan: "Plan", output: str | None = None, written: int | None = None) -> str:
    return _pretty(
        {
            "file": output,
            "size": written,
            "runs": [ref.rpartition("/")[2] for ref in plan.runs],
            "snapshots": [*plan.code.values()],
            "files": len(plan.files),
            "files_size": plan.size,
            "missing_files": len(plan.missing),
            "live": [*plan.live],
        }
    )


def _tell(found: Any, path: str, as_json: bool) -> None:
    kinds = lazy("gittrack.share.pull").counted(found)
    if as_json:
        return render.write(_pretty({"from": path, "wants": found.wants, "refused": found.odd, **keyed(kinds)}))
    parts = [count(number, word) for word, number in kinds.items() if number]
    return render.write(f"{line(path)} has {', '.join(parts) if parts else 'nothing new'}\n")


def _taken(taken: "Taken", path: str) -> str:
    result, files = taken.result, taken.files
    parts = [
        count(len(result.new), "new run") if result.new else "",
        f"{count(len(result.more), 'run')} that went on" if result.more else "",
        count(result.archived, "archived run") if result.archived else "",
        count(result.annotations, "annotation") if result.annotations else "",
        count(result.code, "snapshot") if result.code else "",
        f"{count(files.files, 'file')} ({size(files.size)})" if files.files else "",
    ]
    said = ", ".join(filter(None, parts))
    return f"imported {said} from {line(path)}; `git track undo` takes it back\n" if said else "nothing new\n"


def _taken_document(taken: "Taken", path: str) -> str:
    files = {"files": taken.files.files, "files_size": taken.files.size, "missing_files": len(taken.files.missing)}
    return _pretty({**taken.result._asdict(), "remote": path, **files})


def _import_journal(place: Workplace, path: str, dry_run: bool, as_json: bool) -> None:
    journals: Any = lazy("gittrack.share.journals")
    found: Journal = journals.look(place.repository, path)
    short = found.run[:SHORT]
    tip = None
    if not dry_run and not found.known:
        tip = journals.take(place.repository, found, _keep, place.author)
    if as_json:
        return render.write(_pretty({**found._asdict(), "tip": tip}))
    if found.known:
        return render.write(f"run {short} is here already: nothing new\n")
    what = f"run {short} ({line(found.command)}), {size(found.size)}"
    return render.write(f"would import {what}\n" if tip is None else f"imported {what}; see: git track show {short}\n")


def _keep(directory: str) -> None:
    """Keep the files of an imported run: here and now."""
    storer = lazy("gittrack.record.storer").Storer(here().paths, directory)
    storer.look()
    storer.dismiss()
    while storer.is_running():
        storer.wait(1.0)


def _pretty(document: Any) -> str:
    return json_text(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"
