"""Live runs as of now: what their journals say beyond the last commit.

`ls` must be current without anything being committed, and must not read a journal of a million lines for it: parameters
stand near the beginning of a file, last values at its end, and everything that only a whole pass could tell (minimum,
best, the number of points) is taken from the last commit.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import codec, events, layout
from gittrack.core.model import Record
from gittrack.git.discover import Paths
from gittrack.runs import away, documents, live
from gittrack.runs.row import DAMAGED, LOST, Row

WINDOW = 64 * 1024  # bytes read at either end of a journal
QUIET = 64  # lines in a row, from the end, that name no metric that was not seen already: then all are known

_PARAMS, _END = b'{"e":"params"', b'{"e":"end"'
_SILENT = {
    live.DEAD: "crashed",
    live.FINAL: "crashed",
    live.UNKNOWN: LOST,
}  # states in which nobody writes `end` any more


class News(NamedTuple):
    """What the journals of one run say now."""

    facts: Mapping[str, Any]
    goals: Mapping[str, str]
    started: float
    status: str
    end: Mapping[str, Any]  # the `end` event, or empty
    at: float  # now, or when a silent run last wrote
    params: Mapping[str, Mapping[str, Any]]
    last: Mapping[str, tuple[Any, int]]  # metric -> last value, its step
    host: str | None = None  # where it is, as the user calls it; None: here


def rows(paths: Paths, ids: Iterable[str], stored: Mapping[str, Row]) -> dict[str, Row]:
    """The rows of those of `ids` that have a folder. `stored`: the rows of their last commits, if there are any."""
    here = live.here()
    found = {}
    for run_id in filter(layout.is_id, ids):
        try:
            news = look(live.folder(paths, run_id), here)
            if news is not None and news.facts.get("id") == run_id:
                found[run_id] = _patched(stored.get(run_id) or documents.row(_started(run_id, news)), news)
        except errors.DamagedRecord as error:  # one bad journal must not hide the other runs
            found[run_id] = Row(run_id, status=DAMAGED, reason=error.message, live=True)
    return found


def record(directory: str, committed: Record | None) -> Record | None:
    """The record of a live run as of now; None when there is nothing in the folder (it was folded meanwhile).
    Raises DamagedRecord."""
    news = look(directory, live.here())
    if news is None:
        return None
    base = committed or _started(os.path.basename(directory), news)
    ended = _ended(news)
    status = {
        **base.status,
        "duration": _duration(news),
        "ended": codec.format_time(ended) if ended is not None else None,
        "exit_code": news.end.get("code"),
        "reason": news.end.get("reason"),
        "signal": news.end.get("signal"),
        "status": news.status,
    }
    metrics = _latest(base.summary.get("metrics") or {}, news.last)
    facts = {**base.facts, "host": news.host} if news.host not in ("", away.HERE) else base.facts
    return base._replace(
        facts=facts, status=status, params={**base.params, **news.params}, summary={**base.summary, "metrics": metrics}
    )


def look(directory: str, here: live.Here) -> News | None:
    """Read both ends of every journal of one folder. Raises DamagedRecord where the start of the run says nothing."""
    state = live.state(directory, here)
    first = live.head(directory)
    sent = away.read(directory) if state == live.AWAY else None
    if state == live.EMPTY or first is None:
        return None
    start = first[1]
    if not events.is_sound(start):
        raise errors.DamagedRecord(
            f"{os.path.join(directory, events.STARTER)} does not begin as a run does",
            f"`git track recover` closes it; to give it up, remove {directory}",
        )
    params: dict[str, Mapping[str, Any]] = {}
    last = _Last()
    end: Mapping[str, Any] = {}
    ahead = 0.0
    changed = 0.0
    for name in live.process_files(directory):
        window = _window(os.path.join(directory, name))
        if window is None:
            continue
        for text in window.texts:
            for event in _events(text, _PARAMS):
                source = event.get("source") or "code"
                for key, value in (event.get("values") or {}).items():
                    if source == "code" or key not in params:
                        params[key] = {"source": source, "value": value}
        last.take(window.texts[-1])
        if name == events.STARTER:
            end = next(_events(window.texts[-1], _END), {})
            ahead = sent.ahead if sent else 0.0  # until the record is here, times are told by our clock
        changed = max(changed, window.changed)
    facts, goals = start.get("run") or {}, start.get("goals") or {}
    if sent and "launched" not in facts:  # its host has not begun it
        facts = {**facts, "launched": {"host": sent.host}}
    now = time.time()
    status = end.get("status") or (sent.shown(now) if sent else _SILENT.get(state, "running"))
    at = sent.seen if sent and status == LOST else changed if state in _SILENT else now
    host = sent.host if sent else None
    started = float(start.get("w") or 0.0) - ahead
    if ahead and "w" in end:
        end = {**end, "w": end["w"] - ahead}
    return News(facts, goals, started, status, end, at, params, last.values(), host)


class _Window(NamedTuple):
    texts: tuple[bytes, ...]  # whole lines: of the beginning and of the end, or of all
    changed: float


def _window(path: str) -> _Window | None:
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            text = file.read(2 * WINDOW if about.st_size <= 2 * WINDOW else WINDOW)
            if about.st_size <= 2 * WINDOW:
                return _Window((events.whole_lines(text),), about.st_mtime)
            file.seek(about.st_size - WINDOW)
            tail = events.whole_lines(file.read(WINDOW))
            return _Window((events.whole_lines(text), tail[tail.find(b"\n") + 1 :]), about.st_mtime)
    except FileNotFoundError:
        return None


def _events(text: bytes, sign: bytes) -> Iterator[dict[str, Any]]:
    """The events whose lines begin with `sign`, found without parsing the others."""
    at = text.find(sign)
    while at >= 0:
        stop = text.find(b"\n", at)
        event = events.parse_line(text[at:stop]) if at == 0 or text[at - 1] == 10 else None
        if event is not None and events.is_sound(event):
            yield event
        at = text.find(sign, stop)


class _Last:
    """The last value of each metric, gathered from the ends of several journals."""

    def __init__(self) -> None:
        self._main: dict[str, tuple[Any, int]] = {}
        self._ranked: dict[str, tuple[Any, int]] = {}

    def take(self, text: bytes) -> None:
        """Take in the end of one journal, from its last line up, until nothing new is found."""
        seen: set[str] = set()
        quiet = 0
        for line in reversed(text.split(b"\n")):
            if not line.startswith(b'{"m"'):
                continue
            event = events.parse_line(line)
            values, step = (event or {}).get("m"), (event or {}).get("s")
            if event is None or not isinstance(values, dict) or type(step) is not int:
                continue
            quiet = 0 if values.keys() - seen else quiet + 1
            self._put(self._ranked if event.get("r") else self._main, values, step, seen)
            if quiet >= QUIET:
                return

    def values(self) -> dict[str, tuple[Any, int]]:
        return {**self._ranked, **self._main}

    def _put(self, table: dict[str, tuple[Any, int]], values: Mapping[str, Any], step: int, seen: set[str]) -> None:
        for name, value in values.items():
            if type(value) not in (int, float, bool):  # written by hand, or by something that is no recorder
                continue
            known = table.get(name)  # of one step the later line stands: in one file that is the one seen first
            if known is None or step > known[1] or (step == known[1] and name not in seen):
                table[name] = (value, step)
            seen.add(name)


def _started(run_id: str, news: News) -> Record:
    """The record of a run of which nothing is committed yet."""
    status = {"started": codec.format_time(news.started), "status": news.status}
    goals = dict(news.goals)
    primary = [{"metric": metric, "goal": goal} for metric, goal in goals.items()] if len(goals) == 1 else [None]
    return Record(run_id, None, news.facts, status, {}, {"goals": goals, "metrics": {}, "primary": primary[0]})


def _patched(row: Row, news: News) -> Row:
    return row._replace(
        live=True,
        status=news.status,
        started=news.started if news.host else row.started,
        ended=_ended(news),
        duration=_duration(news),
        exit_code=news.end.get("code"),
        signal=news.end.get("signal"),
        reason=news.end.get("reason"),
        heartbeat=news.at,
        params={**row.params, **{name: param["value"] for name, param in news.params.items()}},
        metrics=_latest(row.metrics, news.last),
    )


def _latest(metrics: Mapping[str, Mapping[str, Any]], last: Mapping[str, tuple[Any, int]]) -> dict[str, Any]:
    """`metrics` as committed, with the last values of now."""
    found = dict(metrics)
    for name, (value, step) in last.items():
        known = found.get(name) or {}
        if not known or step >= (known.get("last_step") or 0):
            found[name] = {**known, "last": value, "last_step": step}
    return found


def _ended(news: News) -> float | None:
    if news.end:
        return news.end.get("w")
    return news.at if news.status == "crashed" else None


def _duration(news: News) -> float:
    if news.end:
        return float(news.end.get("t") or 0.0)
    return max(news.at - news.started, 0.0)
