"""Which checkpoints of a live run are the best and the latest so far: its journals say it before a commit does."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from gittrack.core import events
from gittrack.core.summary import Summary
from gittrack.git.discover import Paths
from gittrack.runs import live

START, CHECKPOINT = b'{"e":"start"', b'{"e":"checkpoint"'


def so_far(paths: Paths, run_id: str) -> Mapping[str, Any]:
    """`checkpoints` of summary.json as it would be now: `best` and `latest`, None where there is none."""
    summary = Summary()
    for event in said(paths, run_id, START, CHECKPOINT):
        if event["e"] == "start":
            summary.declare(event.get("goals") or {})
        else:
            summary.checkpoint(event)
    found: Mapping[str, Any] = summary.document()["checkpoints"]
    return found


def said(paths: Paths, run_id: str, *signs: bytes) -> Iterator[Mapping[str, Any]]:
    """The sound events of a live run whose lines begin with one of `signs`."""
    directory = live.folder(paths, run_id)
    for name in live.process_files(directory):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, name), "rb") as file:
            for text in file:
                event = events.parse_line(text) if text.startswith(signs) and text.endswith(b"\n") else None
                if event is not None and events.is_sound(event):
                    yield event
