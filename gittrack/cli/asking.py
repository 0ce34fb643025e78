"""What the reading commands have in common: a fresh index, the clock of this machine, and the words for `no runs`."""

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gittrack import errors
from gittrack.cli.at_remote import shown
from gittrack.cli.context import Workplace, here
from gittrack.cli.render import say
from gittrack.compare.selection import Selection, select
from gittrack.compare.text import line
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.core.moments import Clock
    from gittrack.runs.selectors import Target


def clock() -> "Clock":
    """Now, in the zone of this machine."""
    found: Clock = lazy("gittrack.core.moments").Clock(time.time(), _seconds, time.localtime)
    return found


def _seconds(fields: Sequence[int]) -> float:
    year, month, day, hour, minute, second = fields[:6]
    return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))


def fresh(fold: bool = True) -> Workplace:
    """The workplace of this call, its index up to date. Runs that died are folded first, unless told not to."""
    place = folded() if fold else here()
    place.index.refresh(lambda: place.repository)
    return place


def folded() -> Workplace:
    """The workplace of this call, runs that died folded."""
    place = here()
    if _somebody_died(place):
        # Where it cannot be written, or somebody else folds, the runs are listed from their journals all the same.
        with contextlib.suppress(errors.GittrackError, OSError):
            lazy("gittrack.runs.folding").fold_dead(
                place.repository, time.time(), keep=lazy("gittrack.record.storer").later(place.paths)
            )
    return place


def _somebody_died(place: Workplace) -> bool:
    """Asked by every listing, so nothing is loaded where no run is live."""
    try:
        if not os.listdir(os.path.join(place.paths.common_dir, "track", "live")):
            return False
    except OSError:
        return False
    return bool(lazy("gittrack.runs.live").over(place.paths))


def chosen(
    where: list[str] | None, sort: str | None, limit: int | None, deleted: bool = False, all_metrics: bool = True
) -> Selection:
    """The runs that a command's options ask for."""
    return select(fresh().index, clock, where or (), sort, limit, deleted, all_metrics)


def nothing(where: list[str] | None) -> None:
    """Tell that the list is empty, and what fills it."""
    if where:
        say(f"no run answers to {' and '.join(where)}; `git track ls` lists all of them")
        return
    say("no runs yet; record one with `git track run COMMAND...`, for example `git track run python train.py`")
    if remote := lazy("gittrack.runs.remotes").meant(here().git):
        say(f"those that others have shared: `git track pull` brings them from {line(shown(remote))}")


def to_terminal() -> bool:
    return sys.stdout.isatty()


def find(text: str, deleted: bool = False) -> "Target":
    """The run, or checkpoint of a run, that a selector means."""
    return find_all([text], deleted)[0]


def find_all(texts: Sequence[str], deleted: bool = False) -> "list[Target]":
    """`find` for each."""
    place = fresh()
    goals = place.settings.goals if any(text.startswith("best") for text in texts) else {}
    selectors = lazy("gittrack.runs.selectors")
    found: list[Target] = selectors.resolve_all(place.index, texts, time.time(), goals=goals, deleted=deleted)
    return found


def find_file(text: str) -> "tuple[Target, str]":
    """What RUN:PATH means. Selectors and paths may both hold colons: it is the first with a run before it and its file
    after it."""
    if ":" not in text:
        raise errors.UsageError(f"{text} names no file", "write RUN:PATH, for example latest:model.pt")
    places = [at for at, char in enumerate(text) if char == ":" and at]
    first: tuple[Target, str] | None = None
    problem: errors.GittrackError | None = None
    for at in places:
        try:
            target, path = find(text[:at], deleted=True), text[at + 1 :]
        except errors.GittrackError as error:
            problem = problem or error
            continue
        if (first is None and at == places[-1]) or _has(target, path):  # the only one left is meant in any case
            return target, path
        first = first or (target, path)
    if first is None:
        raise problem or errors.UsageError(f"{text} names no run", "write RUN:PATH, for example latest:model.pt")
    return first


def _has(target: "Target", path: str) -> bool:
    repo = fresh().repository
    record = lazy("gittrack.runs.reader").read(repo, target.id)
    return any(one.path == path for one in lazy("gittrack.runs.artifacts").artifacts(repo, record))
