"""`git track branch`, `apply` and `promote`: from a run back to code that one goes on working with."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack.cli import render
from gittrack.cli.asking import find, fresh
from gittrack.cli.progress import Progress
from gittrack.compare.text import count, json_text, line
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.core.model import Record
    from gittrack.runs.applying import Applying
    from gittrack.runs.promoting import Promoting

LISTED = 20
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done, and do nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def branch(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the branch.")],
    switch: Annotated[bool, typer.Option("--switch", "-s", help="Switch to it, as `git switch` does.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Move a branch of that name that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Make a branch at the code of a run.

    An ordinary branch, whose last commit is the run's snapshot: what HEAD was when the run started, and on top of it
    the changes that were not committed. Of a run from a clean work tree it is that commit itself. A name that is taken
    is refused, as `git branch` does. Runs that are started on the branch know where they come from: `git track tree`.

    Examples:
      git track branch best lower-rate --switch
      git track branch 7c21f a-week-ago
    """
    record = _record(run)
    place = fresh()
    code = lazy("gittrack.runs.code").of(place.repository, record)
    start = lazy("gittrack.runs.branching").branch(place.repository, code, name, switch, force)
    if as_json:
        render.write(_pretty({"run": code.run, "branch": _text(name), "commit": start, "switched": switch}))
    else:
        where = "switched to it" if switch else f"`git switch {line(name)}` goes there"
        render.write(f"branch {line(name)} is at {start[:SHORT]}, the code of run {code.short}; {where}\n")
    for note in lazy("gittrack.runs.applying").left_out(code):
        render.say(note)


def apply(
    run: Run,
    force: Annotated[
        bool, typer.Option("--force", "-f", "--yes", "-y", help="Merge into files with changes of yours, too.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring the uncommitted changes of a run to the work tree.

    What the run's snapshot had changed since its commit is merged into your files, three-way, wherever HEAD is now.
    Branch and index stay as they are, and new files come as untracked ones. Where both sides changed the same lines,
    the file gets conflict markers and the index both versions, as after any merge of git: resolve them, `git add` the
    files. Then the exit code is 85.

    Files with changes that are not committed are not touched: it stops with exit code 82 and names them; --force merges
    into them as well. `git track undo` takes all of it back.

    Examples:
      git track apply best
      git track apply 7c21f --dry-run
    """
    record = _record(run)
    place = fresh()
    work: Any = lazy("gittrack.runs.applying")
    plan: Applying = work.prepare(place.repository, record)
    if dry_run:
        return render.write(_document(plan, None) if as_json else _listing(plan))
    work.refuse(plan, force)
    with Progress("applying", len(plan.pieces)) as done:
        notes = work.apply(place.repository, plan, place.author, force, done)
    for note in [*plan.notes, *notes]:
        render.say(note)
    render.write(_document(plan, len(plan.pieces)) if as_json else _applied(plan))
    left = work.conflict(plan)
    if left is not None:
        raise left
    return None


def promote(
    run: Run,
    message: Annotated[
        list[str] | None,
        typer.Option("-m", "--message", metavar="TEXT", help="The message. Given again, a further paragraph."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Commit the changes of a run on the current branch.

    An ordinary commit by you, with your hooks and your signature: what the run's snapshot had changed since its commit,
    merged with what HEAD has got since, and nothing else. What you have staged stays staged and is not in it. Files
    that were as HEAD had them follow; others stay as you have them. The message gets a line `Track-Run: <id>`, so that
    `git track ls --commit` finds the run, also after an amend or a rebase. Without -m the message is the run's command.

    When the change contradicts what HEAD has now, nothing is done, and the exit code is 85: `git track apply` puts both
    versions into the work tree. When there is nothing to commit, the exit code is 1.

    Examples:
      git track promote best -m "A lower learning rate"
      git track promote 7c21f --dry-run
    """
    record = _record(run)
    place = fresh()
    work: Any = lazy("gittrack.runs.promoting")
    plan: Promoting = work.prepare(place.repository, record)
    if not plan.changes:
        render.say(_nothing(plan))
        if as_json:
            render.write(_commit_document(plan, None))
        return 1
    made, notes = None, []
    if not dry_run:
        made, notes = work.promote(place.repository, plan, work.message_of(record, message or ()), place.author)
    for note in notes:
        render.say(note)
    render.write(_commit_document(plan, made) if as_json else _committed(plan, made))
    return 0


def _record(run: str) -> "Record":
    target = find(run, deleted=True)
    found: Record = lazy("gittrack.runs.reader").read(fresh().repository, target.id)
    return found


def _listing(plan: "Applying") -> str:
    if not plan.pieces:
        return _applied(plan)
    lines = [f"in {line(plan.root)}, from run {plan.code.short}:"]
    for one in plan.pieces[: LISTED * 50]:
        why = f": {line(one.reason)}" if one.reason else "  (has changes of yours)" if one.local else ""
        lines.append(f"  {one.state:<11}  {line(one.path)}{why}")
    if len(plan.pieces) > LISTED * 50:
        lines.append(f"  and {len(plan.pieces) - LISTED * 50:,} more")
    return "\n".join([*lines, *map(line, plan.notes)]) + "\n"


def _applied(plan: "Applying") -> str:
    short = plan.code.short
    if plan.code.is_clean:
        base = (plan.code.base or "")[:SHORT]
        return f"run {short} had no uncommitted changes: its code is commit {base}; there is nothing to apply\n"
    if not plan.pieces:
        return f"the work tree has all changes of run {short} already\n"
    same = f"; {count(plan.same, 'file')} had them already" if plan.same else ""
    return f"applied run {short}: {count(len(plan.pieces), 'file')}{same}; `git track undo` takes it back\n"


def _document(plan: "Applying", applied: int | None) -> str:
    files = [
        {
            "path": _text(one.path),
            "state": one.state,
            "local": one.local,
            **({"reason": _text(one.reason)} if one.reason else {}),
        }
        for one in plan.pieces
    ]
    document = {"run": plan.code.run, "base": plan.code.base, "snapshot": plan.code.snapshot, "applied": applied}
    conflicts = [_text(path) for path in plan.merged.conflicts] if plan.merged else []
    return _pretty({**document, "conflicts": conflicts, "notes": list(plan.notes), "files": files})


def _nothing(plan: "Promoting") -> str:
    if plan.code.is_clean:
        base = (plan.code.base or "")[:SHORT]
        return (
            f"run {plan.code.short} had no uncommitted changes: its code is commit {base}; there is nothing to commit"
        )
    return f"HEAD has all changes of run {plan.code.short} already: there is nothing to commit"


def _committed(plan: "Promoting", made: str | None) -> str:
    where = f"on branch {line(plan.branch)}" if plan.branch else "on no branch (HEAD is detached)"
    what = f"{count(len(plan.changes), 'file')} {where}"
    lines = [f"committed {made[:SHORT]}: {what}" if made else f"would commit {what}:"]
    if made is None:
        lines += [f"  {line(one.path)}" for one in plan.changes[: LISTED * 50]]
    if plan.stay:
        shown = ", ".join(line(path) for path in plan.stay[:LISTED])
        lines.append(f"with changes of yours, left as they are: {shown}")
    return "\n".join(lines) + "\n"


def _commit_document(plan: "Promoting", made: str | None) -> str:
    return _pretty(
        {
            "run": plan.code.run,
            "commit": made,
            "branch": None if plan.branch is None else _text(plan.branch),
            "parent": plan.head,
            "files": [_text(one.path) for one in plan.changes],
            "left_as_they_are": [_text(path) for path in plan.stay],
        }
    )


def _pretty(document: Any) -> str:
    return json_text(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def _text(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="replace")
