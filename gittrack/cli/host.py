"""`git track host`: what a host is like, what gittrack has there, and taking away what nobody needs any more."""

import enum
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render, run_at_host
from gittrack.cli.context import here, output_colour
from gittrack.cli.host_talk import talk
from gittrack.cli.render import say
from gittrack.compare.card import pretty
from gittrack.compare.text import MISSING, cell, count, size
from gittrack.core.layout import SHORT
from gittrack.launch import cleaning
from gittrack.launch.cleaning import Removal, Survey, Wish
from gittrack.launch.link import hosts
from gittrack.launch.reached import At, reach
from gittrack.lazy import lazy

_SKEW = 60.0  # seconds that clocks may differ before it is said
_ROOM = 5_000_000_000


class Action(str, enum.Enum):
    ls = "ls"
    check = "check"
    df = "df"
    prune = "prune"


def host(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="ls, check, df or prune.")],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[HOST]", help="The host; `here` is this machine. Without it, ls lists hosts."),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=0, metavar="N", help="prune: what is older; else as `host_keep` says.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="prune: whatever its age.")] = False,
    unfetched: Annotated[
        bool, typer.Option("--unfetched", help="prune: also results that no clone has. They are lost.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="prune: say what would go, and remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="prune: do not ask.")] = False,
    accept_new: Annotated[bool, typer.Option("--accept-new", help="Believe a host key that is not known yet.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at a host, and remove what is left there.

    ls lists the hosts of gittrack.yaml or, with a host, the jobs there. check reaches it and says what it has and what
    it lacks. df says how much room gittrack takes there. prune removes what nobody needs any more, after asking:
    containers and work trees of jobs whose results are in a clone, and what is older than `host_keep` days: these
    jobs, code, inputs, and images that have lost their names. Jobs that are going on, and results that no clone has
    fetched, stay. Nothing is touched but ~/.gittrack there and what gittrack has labelled.

    Examples:
      git track host ls
      git track host check gpu1
      git track host prune gpu1 --dry-run
      git track host prune gpu1 --all
    """
    if action is not Action.prune:
        given = {"--days": days is not None, "--all": everything, "--unfetched": unfetched}
        for option, is_given in {**given, "--dry-run": dry_run, "--yes": yes}.items():
            if is_given:
                raise errors.UsageError(f"{option} is for prune", f"leave it out: git track host {action.value}")
    if name is None:
        if action is not Action.ls:
            raise errors.UsageError("no host is named", f"git track host {action.value} HOST")
        return _list_hosts(as_json)
    place = here()
    at = reach(hosts.find(place.settings, name), run_at_host.clone(place).environ, talk(accept_new).ask)
    try:
        if action is Action.check:
            return _check(at, as_json)
        keep = place.settings.host_keep if days is None else days
        found = cleaning.survey(at.link, keep)
        if action is Action.ls:
            return _list_jobs(at, found, as_json)
        if action is Action.df:
            return _df(found, as_json)
        return _prune(at, found, Wish(keep, everything, unfetched), dry_run, yes, as_json)
    finally:
        at.close()


def _list_hosts(as_json: bool) -> None:
    known = here().settings.hosts
    if as_json:
        return render.write(pretty({name: dict(said) for name, said in known.items()}))
    if not known:
        return say("no hosts are named in gittrack.yaml: any [user@]host or alias of ~/.ssh/config will do, too")
    names = sorted(known)
    columns = [
        render.Column("name", [cell(name) for name in names]),
        render.Column("host", [cell(str(known[name].get("host") or name)) for name in names]),
        render.Column("image", [cell(str(known[name].get("image") or MISSING)) for name in names]),
        render.Column("gpus", [cell(str(known[name].get("gpus") or MISSING)) for name in names]),
    ]
    return render.write(render.table(columns, render.terminal_width(), output_colour())[0])


def _list_jobs(at: At, found: Survey, as_json: bool) -> None:
    there = {one.run: one for one in at.engine.jobs()}
    jobs = sorted(found.jobs, key=lambda job: job.age)
    states = [_state(job, there.get(job.id)) for job in jobs]
    if as_json:
        documents = [{**job._asdict(), "state": state} for job, state in zip(jobs, states, strict=True)]
        return render.write(pretty(documents))
    if not jobs:
        return say(f"no job is at {at.host.name}")
    columns = [
        render.Column("id", [job.id[:SHORT] for job in jobs]),
        render.Column("state", states),
        render.Column(
            "results", ["in a clone" if job.home else "only there" if job.begun else MISSING for job in jobs]
        ),
        render.Column("size", [size(job.size) for job in jobs], True),
        render.Column("days", [f"{job.age:.0f}" for job in jobs], True),
    ]
    return render.write(render.table(columns, render.terminal_width(), output_colour())[0])


def _state(job: cleaning.Job, container: Any) -> str:
    if container is not None and container.is_running:
        return "running"
    return "over" if job.over else "broken off" if job.begun else "queued"


def _check(at: At, as_json: bool) -> None:
    """What makes it impossible to run jobs there has been raised by who asked for it."""
    look = at.look
    skew = look.ahead
    notes = []
    if "git" not in look.has:
        notes.append("no git: it is borrowed from the images of jobs")
    if skew is not None and abs(skew) > _SKEW:
        notes.append(f"its clock is {abs(skew):.0f} seconds {'ahead' if skew > 0 else 'behind'}: times are its own")
    for what, free in (("images and containers", look.free), ("your home", look.home_free)):
        if free is not None and free < _ROOM:
            notes.append(f"little room for {what}: {size(free)}; git track host df {at.host.name}")
    if look.gpus and not look.runtime:
        notes.append("the engine may not be able to give GPUs to containers: install nvidia-container-toolkit there")
    if as_json:
        document = {**look._asdict(), "gpus": [gpu._asdict() for gpu in look.gpus], "has": sorted(look.has)}
        document |= {"security": list(look.security), "folder": at.link.folder(), "notes": notes}
        return render.write(pretty(document))
    render.write(f"{cell(at.host.name)}: {look.line()}\nfolder: {cell(at.link.folder())}\n")
    return render.write("".join(f"note: {note}\n" for note in notes) or "jobs can run there\n")


def _df(found: Survey, as_json: bool) -> None:
    rows = {
        count(len(found.jobs), "job"): sum(job.size for job in found.jobs),
        "of these, work trees": sum(job.work for job in found.jobs),
        f"code of {count(len(found.code), 'project')}": sum(one.size for one in found.code),
        "inputs": found.inputs,
        "leftovers": found.rest,
    }
    if as_json:
        sums = dict(zip(("jobs", "work", "code", "inputs", "leftovers"), rows.values(), strict=True))
        return render.write(pretty({**sums, "total": found.size, "disk": found.disk, "free": found.free}))
    rows["together"] = found.size
    rows["free there"] = found.free
    columns = [render.Column("what", [*rows]), render.Column("size", [size(each) for each in rows.values()], True)]
    return render.write(render.table(columns, render.terminal_width(), output_colour())[0])


def _prune(at: At, found: Survey, wish: Wish, dry_run: bool, yes: bool, as_json: bool) -> None:
    images = lazy("gittrack.launch.engine.images")
    nameless = [one for one in images.stored(at.engine) if not one.names and not one.used]
    helpers = lazy("gittrack.launch.engine.helpers").helpers(at.engine)
    removals = cleaning.plan(found, at.engine.jobs(), wish, helpers)
    removals += [Removal("image", one.id, one.size, "it has lost its name to a newer one") for one in nameless]
    if as_json:
        render.write(pretty({"dry_run": dry_run, "removals": [each._asdict() for each in removals]}))
    elif not removals:
        return say(f"nothing is to be removed at {at.host.name}")
    else:
        render.write("".join(map(_told, removals)))
    if dry_run or not removals:
        return None
    _ask(removals, yes, at.host.name)
    for each in removals:
        if each.kind in (cleaning.CONTAINER, cleaning.HELPER):
            at.engine.remove(each.name)
    try:
        cleaning.act(at.link, removals, wish.days)
    except errors.HostFailed as error:
        if error.kind != cleaning.OTHERS or not lazy("gittrack.launch.jobs.closing").remove_as_root(at):
            raise
    for one in nameless:
        images.remove(at.engine, one)
    return None if as_json else render.write(f"removed {size(sum(each.size for each in removals))}\n")


def _told(removal: Removal) -> str:
    weight = size(removal.size) if removal.size else ""
    return f"{removal.kind:<10} {weight:>9}  {removal.why}\n"


def _ask(removals: Sequence[Removal], yes: bool, name: str) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and typer.confirm(f"Remove {count(len(removals), 'thing')} at {name}?", err=True)):
        raise errors.UsageError("nothing was removed", f"git track host prune {name} --yes removes without asking")
