"""`git track purge`: runs that are to be gone for good, here and at the remote."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import asking, render
from gittrack.cli.at_remote import shown
from gittrack.cli.context import Workplace
from gittrack.cli.progress import Transfer
from gittrack.compare.card import pretty
from gittrack.compare.text import count, line, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.burial import Buried
    from gittrack.share.look import Remote
    from gittrack.share.purge import Outside, Plan, Target

LISTED = 5
FORGES = {
    "github.com": "GitHub keeps what nothing names until its support is asked to remove sensitive data",
    "gitlab": "on GitLab, Settings > Repository > Repository maintenance prunes unreachable objects",
    "bitbucket.org": "Bitbucket frees it when its support is asked for a garbage collection",
}


def purge(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="The runs that are to be gone for good.")],
    remote: Annotated[
        str | None, typer.Option("--remote", metavar="REMOTE", help="The remote to clean, if not the usual one.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Only here; the remote is cleaned by the next push.")] = False,
    code: Annotated[bool, typer.Option("--code", help="The code, too, although other runs have the same.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Remove runs for good: a leaked secret.

    Records, snapshots, files in stores, archives that hold them, and the objects themselves, out of git's packs as
    well: here at once, at the remote as far as git can, in every other clone with its next pull. A tombstone in the log
    keeps old clones from bringing them back. This cannot be undone; to hide a run, `git track rm` is enough.

    The code goes with the last run that has it; with --code it is taken from all others, too. Your own commits are
    never touched. What was interrupted, or could not reach the remote, is finished by the same command.

    Examples:
      git track purge 7c21f --dry-run
      git track purge 7c21f
      git track purge 7c21f --remote backup
    """
    place = asking.fresh()
    sharing: Any = lazy("gittrack.share.purge")
    ids = _ids(place, runs)
    name = None if local else _remote(place, remote)
    with Transfer("looking") as progress:
        seen: Remote | None = sharing.prepare(place.repository, name, progress) if name else None
    found: Plan = sharing.plan(place.repository, ids, _users(place, ids), code)
    if not as_json:
        render.write(_listing(place, found, name))
    if dry_run:
        if as_json:
            render.write(pretty(_document(found)))
        return 0
    _agree(found, yes)
    sharing.say(place.repository, found, place.author)
    with Transfer("purging") as progress:
        outside: Outside = sharing.outside(place.repository, found, seen, place.settings, progress)
        if outside.problems:
            render.write(_outside(outside, name))
            raise _unfinished(outside.problems[0])
        buried: Buried = sharing.here(place.repository, found, place.author)
    if as_json:
        render.write(pretty({**_document(found), **_result(outside, buried)}))
    else:
        render.write(_outside(outside, name) + _buried(buried) + _advice(place, name, bool(outside.cleaned.failed)))
    return errors.RemoteFailed.exit_code if outside.cleaned.failed else 0


def _ids(place: Workplace, texts: Sequence[str]) -> list[str]:
    """The runs; also those that were purged before, so that it can be finished."""
    found: dict[str, None] = {}
    for text in texts:
        try:
            (target,) = asking.find_all([text], deleted=True)
        except errors.RunNotFound:
            before: list[str] = lazy("gittrack.share.purge").purged(place.repository, text)
            if len(before) != 1:
                raise
            found[before[0]] = None
            continue
        if target.step is not None:
            raise errors.UsageError(f"{text} is a checkpoint; runs are purged whole", f"say {target.id[:SHORT]}")
        found[target.id] = None
    return list(found)


def _remote(place: Workplace, given: str | None) -> str | None:
    """The remote that holds the runs; None where git knows none at all."""
    remotes: Any = lazy("gittrack.runs.remotes")
    if given is None and not remotes.named(place.git):
        return None
    chosen: str = remotes.choose(place.git, given)
    return chosen


def _users(place: Workplace, ids: Sequence[str]) -> dict[str, list[str]]:
    """Snapshot -> all runs that have it, for the snapshots of these runs."""
    wanted = {row.snapshot for row in place.index.by_id(ids)} - {None}
    found: dict[str, list[str]] = {}
    for row in place.index.rows(deleted=True) if wanted else ():
        if row.snapshot in wanted:
            found.setdefault(str(row.snapshot), []).append(row.id)
    return found


def _agree(found: "Plan", yes: bool) -> None:
    if yes or not found.targets:
        return
    which = "this run" if len(found.targets) == 1 else f"these {len(found.targets)} runs"
    text = f"Remove {which} for good? It cannot be undone"
    if not (sys.stdin.isatty() and typer.confirm(text, err=True)):
        raise errors.UsageError("nothing was purged", "`git track purge --yes` does not ask")


def _listing(place: Workplace, found: "Plan", name: str | None) -> str:
    lines = [f"  {one.id[:SHORT]}  {_command(place, one.id)}\n{_code(one)}" for one in found.targets]
    lines += [f"  {run_id[:SHORT]}  purged before; what is left of it goes\n" for run_id in found.gone]
    head = f"gone for good, here{f' and at {shown(name)}' if name else ''}:\n"
    objects = count(len(found.files), "object")
    files = f"{objects} of this clone's store, {size(sum(found.files.values()))}\n" if found.files else ""
    return head + "".join(lines) + f"{count(len(found.refs), 'ref')} here\n" + files


def _command(place: Workplace, run_id: str) -> str:
    row = place.index.row(run_id)
    return line(" ".join(str(row.command if row else "").split())[:80])


def _code(one: "Target") -> str:
    short = (one.code or "")[:SHORT]
    said = {
        "goes": f"its code goes, too: {short}",
        "none": "",
        "yours": f"its code stays: it is your own commit {short}; if the secret is in it, rewrite your history",
        "shared": f"its code {short} stays, since {_few([each[:SHORT] for each in one.by])} have it; --code removes it",
        "elsewhere": f"its code goes, but {_few(one.by)} holds {short} as well: delete or rewrite that yourself",
    }[one.fate]
    return f"           {line(said)}\n" if said else ""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _outside(outside: "Outside", name: str | None) -> str:
    cleaned = outside.cleaned
    lines = [f"{where}: {count(each, 'object')} removed\n" for where, each in outside.store.items() if each]
    if name and cleaned.moved:
        gone = sum(one.new is None for one in cleaned.moved)
        lines.append(f"{shown(name)}: {count(gone, 'ref')} removed, {len(cleaned.moved) - gone} written anew\n")
    if outside.lfs:
        files = f"{count(outside.lfs, 'file')} of it {'is' if outside.lfs == 1 else 'are'} with git-lfs"
        lines.append(f"{shown(name or '')}: {files}, which has no way to delete: its host has to\n")
    lines += [f"{shown(name or '')}: {ref} is still there: {line(one.said)}\n" for ref, one in cleaned.failed.items()]
    return "".join(lines)


def _buried(buried: "Buried") -> str:
    erased = buried.erased
    lines = [f"here: {count(buried.refs, 'ref')} and {count(erased.objects, 'git object')} removed\n"]
    if buried.files:
        files = count(len(buried.files), "object")
        lines.append(f"here: {files} of the store removed, {size(sum(buried.files.values()))}\n")
    if buried.unsure:
        lines.append(f"no file was removed from this clone's store: {line(buried.unsure)}\n")
    if erased.held:
        lines.append(
            f"{count(len(erased.held), 'object')} of it stay: commits that nothing names any more, and that are not "
            "gittrack's, need them; `git reflog expire --expire=now --all && git gc --prune=now` removes these\n"
        )
    if erased.left:
        lines.append(
            f"{count(len(erased.left), 'object')} of it stay: in a repository that this one borrows from, or used just "
            "now; the same command tries again\n"
        )
    return "".join(lines)


def _advice(place: Workplace, name: str | None, refused: bool) -> str:
    """What only others can do."""
    if name is None:
        return "no remote was asked; other clones and copies still have it\n"
    if refused:
        return f"{shown(name)} still has it: who runs the server has to remove these refs, or to allow it for once\n"
    url: str = lazy("gittrack.git.network").url(place.git, name)
    path = url.removeprefix("file://")
    if path.startswith(("/", ".")):
        how = f"git -C '{path}' gc --prune=now"
    else:
        how = next(
            (said for sign, said in FORGES.items() if sign in url), "a `git gc --prune=now` on the server frees it"
        )
    return (
        f"{shown(name)} lists it no more, and its server still has the bytes until it cleans up: {line(how)}\n"
        "other clones remove it with their next `git track pull`; a secret that was out is to be changed all the same\n"
    )


def _unfinished(problem: errors.GittrackError) -> errors.GittrackError:
    again = "it is said to be purged; what is here was kept, to know what is there: run the same command again"
    return type(problem)(
        f"{problem.message}; {again}", f"{problem.hint}; or purge it here alone with --local".strip("; ")
    )


def _document(found: "Plan") -> dict[str, Any]:
    return {
        "runs": [
            {"id": one.id, "tip": one.tip, "code": one.code, "fate": one.fate, "by": one.by} for one in found.targets
        ],
        "gone": found.gone,
        "refs": [change.ref for change in found.refs],
        "files": dict(found.files),
    }


def _result(outside: "Outside", buried: "Buried") -> Mapping[str, Any]:
    return {
        "remote": {
            "moved": [list(change) for change in outside.cleaned.moved],
            "failed": {ref: one.said for ref, one in outside.cleaned.failed.items()},
        },
        "stores": dict(outside.store),
        "lfs": outside.lfs,
        "objects": buried.erased.objects,
        "held": sorted(buried.erased.held),
        "freed": buried.erased.freed + sum(buried.files.values()),
    }
