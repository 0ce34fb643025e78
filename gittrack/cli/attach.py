"""`git track attach`, `wait` and `stop`: what one does with a job that is at a host."""

import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gittrack.cli import jobs, run_at_host, watching
from gittrack.cli.asking import find
from gittrack.cli.context import Workplace, here
from gittrack.cli.host_talk import talk
from gittrack.cli.options import RECONNECT
from gittrack.cli.render import say
from gittrack.compare.text import harmless
from gittrack.core.layout import SHORT
from gittrack.launch.jobs import closing, launching, stopping
from gittrack.launch.reached import At, reach
from gittrack.lazy import lazy
from gittrack.runs import away, live
from gittrack.runs.archiving import ENDED

if TYPE_CHECKING:
    from gittrack.launch.jobs.following import Out


def attach(
    run: jobs.ONE = "latest",
    host: jobs.AT = None,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, metavar="N", help="Only the last N lines so far.")
    ] = None,
    reconnect: RECONNECT = None,
) -> int:
    """Watch a job at a host again, or go on with one that was being sent.

    Shows its console from the beginning, or the last N lines of it, and then as it comes; results come back meanwhile.
    Its exit code is passed on. Where the connection broke while the job was being sent, that goes on from where it
    stopped. Ctrl-C asks whether to detach, to stop the job, or to go on watching. When the connection breaks, the host
    is tried again for five minutes, or as long as --reconnect or the settings say.

    Examples:
      git track attach
      git track attach 7c3e --tail 20
    """
    place = here()
    found = jobs.job(run, host)
    if _is_here(place, found, host):
        _print_record(found.id, tail)
        return run_at_host.report(place, found.id, run_at_host.Manner())
    at = _attached(place, found, reconnect)
    try:
        return run_at_host.watch(at, place, found.id, run_at_host.Manner(reconnect=reconnect), tail, _out(found))
    finally:
        at.close()


def follow(run_id: str, tail: int | None, reconnect: int | None) -> None:
    """`git track logs -f` of a job: its console alone."""
    place = here()
    found = jobs.job(run_id)
    clone = run_at_host.clone(place, reconnect)
    at = launching.attach(clone, found.id, found.host, talk(quiet=True))
    try:
        with contextlib.suppress(watching.Left):
            watching.watch(at, clone, found.id, tail, _out(found))
    finally:
        at.close()


def wait(
    runs: jobs.MANY,
    host: jobs.AT = None,
    reconnect: RECONNECT = None,
) -> int:
    """Wait until jobs have ended and their results are here.

    Prints a line for each. The exit code is that of the first command that did not succeed, 0 if all did. A connection
    that breaks is made again, as by attach.

    Examples:
      git track wait latest
      git track wait 7c3e 91ab && git track compare
    """
    place = here()
    code = 0
    for found in [jobs.job(text, host) for text in runs]:
        if not _is_here(place, found, host):
            at = _attached(place, found, reconnect)
            try:
                watching.watch(at, run_at_host.clone(place, reconnect), found.id, tail=0, out=_nothing)
            except watching.Left as left:
                return left.code
            finally:
                at.close()
        code = code or run_at_host.report(place, found.id, run_at_host.Manner())
    return code


def stop(
    runs: jobs.MANY,
    grace: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="How long the command has to keep a last checkpoint.")
    ] = stopping.GRACE,
    host: jobs.AT = None,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="The host is gone for good: end the runs here, with what has come.")
    ] = False,
) -> None:
    """End jobs at hosts.

    The command gets SIGTERM, and after the grace period SIGKILL. What it has logged and kept is recorded, and the run
    is `killed`. Any clone whose user may use the host can do that.

    With --give-up the host is not asked: the runs end as `crashed`, with what has come of them, and their records say
    that the rest is not known. What the host has, should it come back, stays there; `git track undo` takes the giving
    up back, and then `git track fetch HOST` brings all of it.

    Examples:
      git track stop latest
      git track stop 7c3e --grace 120
      git track stop 7c3e --give-up
    """
    place = here()
    if give_up:
        for run_id in [find(text).id for text in runs]:
            lazy("gittrack.launch.home.giving_up").give_up(place.repository, run_id, time.time())
            say(f"run {run_id[:SHORT]} is given up; `git track undo` takes that back")
        return
    for found in [jobs.job(text, host) for text in runs]:
        if _is_over(place, found):
            say(f"run {found.short} is not running any more")
            continue
        at = reach(found.host, run_at_host.clone(place).environ, talk().ask)
        try:
            _stop(at, found, grace)
        finally:
            at.close()


def _stop(at: At, found: jobs.Job, grace: int) -> None:
    if found.is_away and launching.is_being_sent(run_at_host.clone(here()), found.id) and not _is_started(at, found):
        closing.forget(at, here().paths, found.id)
        say(f"run {found.short} was never started; nothing is left of it")
        return
    stopped = stopping.stop(at, found.id, grace)
    if not stopped and found.is_away and at.link.list(at.job(found.id)) is None:
        raise closing.gone(at, found.id)
    say(f"run {found.short} is stopped" if stopped else f"run {found.short} is not running any more")
    if found.is_away:
        lazy("gittrack.launch.jobs.following").bring(at, here().paths, found.id)


def _is_started(at: At, found: jobs.Job) -> bool:
    container = at.engine.find(found.id)
    return container is not None and container.state != "created"


def _is_here(place: Workplace, found: jobs.Job, host: str | None) -> bool:
    """Whether there is nothing that a host would have to be asked for. Who names one may mean a teammate's job."""
    return not found.is_away if found.is_away or host is None else _is_over(place, found)


def _is_over(place: Workplace, found: jobs.Job) -> bool:
    """Whether this clone has all of it."""
    status_of = lazy("gittrack.launch.home.mirror").status_of
    return not found.is_away and status_of(place.repository, found.id).get("status") in ENDED


def _attached(place: Workplace, found: jobs.Job, reconnect: int | None) -> At:
    at = launching.attach(run_at_host.clone(place, reconnect), found.id, found.host, talk())
    try:
        if not found.is_away:
            project = lazy("gittrack.launch.sending.snapshots").project(place.git)
            lazy("gittrack.launch.home.fetching_host").take_up(at.link, place.repository, project, found.id)
        return at
    except BaseException:
        at.close()
        raise


def _print_record(run_id: str, tail: int | None) -> None:
    """The console of a run that is over."""
    lazy("gittrack.cli.logs").show(run_id, tail)


def _out(found: jobs.Job) -> "Out | None":
    """What was not sent from here may hold sequences that drive a terminal."""
    state = away.read(live.folder(here().paths, found.id))
    return None if state is not None and "asked" in state.more else _tamed


def _tamed(stream: int, data: bytes) -> None:
    for piece in harmless([data]):
        watching.put(stream, piece)


def _nothing(_stream: int, _data: bytes) -> None:
    pass
