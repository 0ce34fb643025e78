"""Which checkpoints of a live run are the best and the latest so far: its journals say it before a commit does."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from gittrack.core import events
from gittrack.core.summary import Summary
from gittrack.git.discover import Paths
from gittrack.runs import live

_SIGNS = (b'{"e":"start"', b'{"e":"checkpoint"')


def so_far(paths: Paths, run_id: str) -> Mapping[str, Any]:
    """`checkpoints` of summary.json as it would be now: `best` and `latest`, None where there is none."""
    summary = Summary()
    directory = live.folder(paths, run_id)
    for name in live.process_files(directory):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, name), "rb") as file:
            for text in file:
                event = events.parse_line(text) if text.startswith(_SIGNS) and text.endswith(b"\n") else None
                if event is None or not events.is_sound(event):
                    continue
                if event["e"] == "start":
                    summary.declare(event.get("goals") or {})
                else:
                    summary.checkpoint(event)
    found: Mapping[str, Any] = summary.document()["checkpoints"]
    return found
