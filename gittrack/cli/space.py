"""`git track gc` and `git track du`: what files of runs take, and getting it back."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render
from gittrack.cli.asking import fresh
from gittrack.cli.context import output_colour
from gittrack.compare.card import pretty
from gittrack.compare.text import cell, line, size
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.gc_plan import Plan, Shared

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would go, and remove nothing.")] = False,
    grace: Annotated[str, typer.Option("--grace", metavar="TIME", help="Leave what is newer: 14d, 12h, 0.")] = "14d",
    store: Annotated[bool, typer.Option("--store", help="Clean up the stores of `store` in gittrack.yaml.")] = False,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Apply `keep` of gittrack.yaml first.")] = True,
    replaced: Annotated[
        bool, typer.Option("--replaced", help="Also what checkouts replaced; undo cannot bring it back then.")
    ] = False,
    yes: Yes = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove files that no run needs from this clone.

    Files are needed by every run here, deleted ones included, by runs that are going on, by what can be undone and by
    what was seen on remotes; not by runs whose files were let go with `git track rm --artifacts`, keep_best or `keep`
    in gittrack.yaml, which is applied to the runs that are over. Says first what goes; on a terminal it asks. Safe
    while runs are recorded.

    Files that `git track checkout` replaced are kept for 90 days, for `git track undo`; with --replaced for the grace
    period.

    With --store it is the stores elsewhere that are cleaned up, in two calls: the first notes what no clone needs, one
    after the grace period removes what still none does. What other clones brought there stays until they run it, too.

    Examples:
      git track gc --dry-run
      git track rm latest --artifacts && git track gc --grace 0
      git track gc --store
    """
    collecting, pruning = lazy("gittrack.runs.gc"), lazy("gittrack.runs.pruning")
    seconds = lazy("gittrack.runs.gc_plan").seconds(grace)
    place = fresh()
    repo, now = place.repository, time.time()
    if store:
        return _shared(now, seconds, dry_run, yes, as_json)
    policy = place.settings.keep if keep else {}
    going = pruning.of_all(repo, lazy("gittrack.runs.stores").all_runs(repo), policy) if policy else {}
    found: Plan = collecting.plan(repo, now, seconds, going)
    placing = lazy("gittrack.runs.placing")
    before = now - (seconds if replaced else lazy("gittrack.runs.operations").EXPIRY)
    old: int = placing.kept_size(place.paths, before)
    document = {"keep": going, "objects": len(found.sweep), "bytes": found.freed, "replaced": old, "dry_run": dry_run}
    document |= {"needed": found.needed, "young": found.young_size}
    if not as_json:
        render.write(_told(found, going, grace, old))
    if dry_run or not (found.sweep or going or old):
        return render.write(pretty(document)) if as_json else None
    _ask(yes)
    pruning.prune(repo, going, place.author)
    done: Plan = collecting.sweep(repo, found, now, seconds)
    freed: int = placing.forget(place.paths, before)
    if as_json:
        return render.write(pretty(document | {"objects": len(done.sweep), "bytes": done.freed, "replaced": freed}))
    return render.write(f"removed {size(done.freed + freed)}\n")


def _called(name: str | None, deleted: bool) -> str:
    return " ".join(filter(None, (name, "(deleted)" if deleted else "")))


def _ask(yes: bool) -> None:
    if not yes and sys.stdin.isatty() and not typer.confirm("Remove it?", err=True):
        raise errors.UsageError("nothing was removed", "`git track gc --yes` removes without asking")


def _shared(now: float, seconds: float, dry_run: bool, yes: bool, as_json: bool) -> None:
    place, collecting, stores = fresh(), lazy("gittrack.runs.gc_shared"), lazy("gittrack.runs.stores")
    found = [content.store for content in stores.opened(place.repository, place.settings)]
    if not found:
        raise errors.UsageError("no store is named in gittrack.yaml", "`git track gc` cleans up this clone")
    plans: list[Shared] = [collecting.plan(place.repository, one, now, seconds) for one in found]
    if not as_json:
        render.write("".join(map(_told_shared, [one.url for one in found], plans)))
    if not dry_run and any(plan.sweep or plan.condemn for plan in plans):
        if any(plan.sweep for plan in plans):
            _ask(yes)
        plans = [collecting.collect(place.repository, one, now, seconds) for one in found]
        if not as_json:
            render.write(f"removed {size(sum(sum(plan.sweep.values()) for plan in plans))}\n")
    if as_json:
        sums = [{"removed": sum(p.sweep.values()), "noted": sum(p.condemn.values()), "waiting": p.waiting,
                 "needed": p.needed, "dry_run": dry_run} for p in plans]  # fmt: skip
        render.write(pretty({one.url: said for one, said in zip(found, sums, strict=True)}))


def _told_shared(url: str, plan: "Shared") -> str:
    said = ((sum(plan.sweep.values()), "to remove: no clone has needed it for the grace period"),
            (sum(plan.condemn.values()), "no clone needs: noted, to be removed after the grace period"),
            (plan.waiting, "noted before, and still within it"), (plan.needed, "needed, and stays"))  # fmt: skip
    return f"{line(url)}\n" + "".join(f"{size(count):>10}  {what}\n" for count, what in said)


def _told(found: "Plan", going: dict[str, list[str]], grace: str, replaced: int) -> str:
    count = sum(map(len, going.values()))
    runs = f"{len(going)} run{'s' * (len(going) != 1)}"
    lines = [f"keep: lets go of the files of {count} checkpoints in {runs}"] if going else []
    lines.append(f"{size(found.freed):>10}  in {len(found.sweep)} pieces: no run needs them")
    if found.young:
        lines.append(
            f"{size(found.young_size):>10}  in {found.young} pieces: not needed, but newer than {grace} or in use"
        )
    if replaced:
        lines.append(f"{size(replaced):>10}  replaced by checkouts: `git track undo` cannot bring it back then")
    lines.append(f"{size(found.needed):>10}  needed, and stays")
    return "\n".join(lines) + "\n"


def du(
    number: Annotated[int, typer.Option("-n", "--number", min=0, metavar="N", help="At most so many runs.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, of all runs.")] = False,
) -> None:
    """Show what runs take on this disk.

    For each run with large files their size, and what is its own: the bytes in the store that no other run shares, and
    that would be free without it. Then all of the store, what `git track gc` would free, and what git has of runs.

    Examples:
      git track du
      git track rm 7c21f --artifacts
    """
    place = fresh()
    found: Any = lazy("gittrack.runs.usage").of(place.repository)
    if as_json:
        return render.write(pretty(found.document()))
    names = {one[0]: _called(one[1], one[3]) for one in place.index.brief()}
    here = [one for one in found.runs if one.files]
    runs = here[:number]
    columns = [
        render.Column("run", [one.run[:SHORT] for one in runs]),
        render.Column("files", [str(one.files) for one in runs], right=True),
        render.Column("size", [size(one.size) for one in runs], right=True),
        render.Column("its own", [size(one.own) for one in runs], right=True),
        render.Column("name", [cell(names.get(one.run, "")) for one in runs], keep=5),
    ]
    if runs:
        render.write(render.table(columns, render.terminal_width(), output_colour())[0] + "\n")
    if len(here) > number:
        render.say(f"… and {len(here) - number} more; -n shows them")
    lines = [
        (found.files, "files of runs, each whole"),
        (found.store, "in the store, where what is equal is there once"),
    ]
    lines += [(found.free, "of it no run needs: `git track gc` frees it, when it is old enough")]
    away = sum(one.away for one in found.runs)
    lines += [(away, "of files that are not here: `git track store pull` brings them")] if away else []
    lines += [(found.replaced, "replaced by checkouts: `git track undo` brings it back, for 90 days")]
    lines += [(found.live, "of runs that are going on"), (found.git, "in git: records, small files, snapshots of code")]
    return render.write("".join(f"{size(count):>10}  {what}\n" for count, what in lines if count or "store" in what))
