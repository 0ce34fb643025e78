"""Commit messages that make `git log RUNREF` read as a training log, and the author line that goes with them."""

import re
from collections.abc import Mapping
from typing import Any

from gittrack.core import layout
from gittrack.core.events import Cut
from gittrack.core.summary import Summary

SHOWN = 4  # metrics named in a subject line
WIDTH = 100


def message(cut: Cut, facts: Mapping[str, Any], status: Mapping[str, Any], summary: Summary) -> str:
    """The commit message for `cut`."""
    subject = " ".join(_subject(cut, facts, status, summary).split())
    if len(subject) > WIDTH:
        subject = subject[: WIDTH - 1] + "…"
    return f"{subject}\n\nTrack-Run: {facts.get('id')}\nTrack-Cut: {cut.number}\n"


def _subject(cut: Cut, facts: Mapping[str, Any], status: Mapping[str, Any], summary: Summary) -> str:
    if cut.reason == "start":
        return f"start {str(facts.get('id'))[: layout.SHORT]}: {facts.get('command')}"
    if cut.reason == "checkpoint":
        latest = summary.document()["checkpoints"]["latest"] or {"step": None, "metrics": {}}
        return f"checkpoint at step {latest['step']}{_values(latest['metrics'])}"
    values = _values({name: summary.last(name) for name in _main_first(summary)})
    if cut.reason == "final":
        code = status["exit_code"]
        how = f" (exit code {code})" if code else f" ({status['signal']})" if status["signal"] else ""
        return f"{status['status']}{how} after {duration(status['duration'])}{values}"
    return f"{duration(status['duration'])} in{values}"


def _main_first(summary: Summary) -> list[str]:
    names = [name for name in summary.names() if not name.startswith("system/")]
    if summary.primary and summary.primary[0] in names:
        names.remove(summary.primary[0])
        names.insert(0, summary.primary[0])
    return names[:SHOWN]


def _values(values: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name} {value:.5g}" for name, value in list(values.items())[:SHOWN] if value is not None)
    return ": " + shown if shown else ""


def duration(seconds: float) -> str:
    """`3.2 s`, `5 min 03 s`, `2 h 05 min`, `3 d 04 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def author(facts: Mapping[str, Any]) -> str:
    """`Name <mail>` as git takes it: no angle brackets, newlines or NULs inside (git refuses such commits)."""
    user = facts.get("user") or {}
    name = _clean(user.get("name") or "") or "gittrack"
    email = _clean(user.get("email") or "") or "gittrack@localhost"
    return f"{name} <{email}>"


def _clean(text: str) -> str:
    return re.sub(r"[<>\x00-\x1f]", "", str(text)).strip(" .,:;\"'").encode(errors="replace").decode()
