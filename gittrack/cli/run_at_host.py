"""`git track run -H HOST` and `run --container`: send, start, watch, and say how it went."""

import os
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from gittrack.cli import watching
from gittrack.cli.context import Workplace
from gittrack.cli.host_talk import talk
from gittrack.cli.reaching import Reaching
from gittrack.cli.render import say
from gittrack.core import codec
from gittrack.core.layout import SHORT
from gittrack.launch.jobs import launching
from gittrack.launch.jobs.job import Asked
from gittrack.launch.reached import At, Clone
from gittrack.lazy import lazy
from gittrack.record.beginning import Wish

if TYPE_CHECKING:
    from gittrack.launch.jobs.following import Out
    from gittrack.record.supervise import Result

FAILED = 70  # nobody knows how the command ended: its container was killed


class Manner(NamedTuple):
    """How it is told."""

    detach: bool = False
    quiet: bool = False
    json: bool = False
    reconnect: int | None = None  # seconds; as the settings say

    @property
    def silent(self) -> bool:
        return self.quiet or self.json


def run(place: Workplace, wish: Wish, asked: Asked, manner: Manner, begun: Reaching) -> int:
    """The exit code of the command; 0 where it goes on without us."""
    launch = launching.begin(begun.clone, begun.around, wish, asked, begun.talk, begun.at)
    try:
        if not manner.silent:
            say(f"run {launch.run_id[:SHORT]}")
        if manner.detach:
            return _detached(launch.run_id, manner)
        return watch(launch.at, place, launch.run_id, manner)
    finally:
        launch.at.close()


def watch(
    at: At, place: Workplace, run_id: str, manner: Manner, tail: int | None = None, out: "Out | None" = None
) -> int:
    """Until it is over; the exit code of the command."""
    try:
        told = talk(quiet=manner.silent)
        watching.watch(at, clone(place, manner.reconnect), run_id, tail, out, told)
    except watching.Left as left:
        return left.code
    return report(place, run_id, manner)


def report(place: Workplace, run_id: str, manner: Manner) -> int:
    """Say how the run went, as its record has it; the exit code of the command."""
    result = _result(place, run_id)
    shown = lazy("gittrack.cli.run_summary")
    if manner.json:
        sys.stdout.write(codec.dumps(shown.document(result)).decode())
    elif not manner.quiet:
        shown.tell("".join(line + "\n" for line in shown.summary(result, place)))
    sys.stdout.flush()
    outcome = result.outcome
    if outcome.signal is not None:
        return 128 + int(outcome.signal)
    if outcome.code is None:
        killed = outcome.final is not None and outcome.final.status == "killed"  # after it was told to end
        return 128 + signal.SIGKILL if killed else FAILED
    return int(outcome.code)


def clone(place: Workplace, reconnect: int | None = None) -> Clone:
    """As the modules of `launch` want it. `reconnect`: seconds, else as the settings say."""
    return Clone(place.paths, os.environ, place.settings.override(reconnect=reconnect))


def _result(place: Workplace, run_id: str) -> "Result":
    job, supervise = lazy("gittrack.record.job"), lazy("gittrack.record.supervise")
    record = lazy("gittrack.runs.reader").read(place.repository, run_id)
    status, summary = record.status, record.summary
    final = job.Final(
        status["status"],
        status["duration"],
        summary["metrics"],
        summary["primary"],
        list(status["warnings"]),
        summary.get("artifacts"),
    )
    number = signal.Signals[status["signal"]] if status["signal"] in signal.Signals.__members__ else None
    outcome = job.Outcome(run_id, status["exit_code"], number, status["duration"], final, None)
    result: Result = supervise.Result(outcome, record.facts, ())
    return result


def _detached(run_id: str, manner: Manner) -> int:
    short = run_id[:SHORT]
    if manner.json:
        sys.stdout.write(codec.dumps({"id": run_id, "status": "running"}).decode())
    elif manner.quiet:
        sys.stdout.write(run_id + "\n")
    else:
        say(f"it goes on at its host; `git track attach {short}` watches it, `git track wait {short}` waits for it")
    return 0
