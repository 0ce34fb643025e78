"""What the journal says of parcels that are kept: the lines of docs/format.md §4, made and found again."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from gittrack.core import events, parcels
from gittrack.record import keeping
from gittrack.runs import live


def lines(parcel: str, outcome: keeping.Outcome, before: set[str]) -> list[dict[str, Any]]:
    """What is to be said of a parcel that is kept, but for the paths that were told of before."""
    found: list[dict[str, Any]] = [
        {
            "e": "kept",
            "in": kept.where,
            "mode": kept.mode,
            "parcel": parcel,
            "path": kept.path,
            "sha256": kept.sha256,
            "size": kept.size,
        }
        for kept in outcome.kept
        if kept.path not in before
    ]
    left_out = [{"path": path, "reason": reason} for path, reason in outcome.left_out]
    size = sum(kept.size for kept in outcome.kept)
    found.append({"e": "parcel", "files": len(outcome.kept), "left_out": left_out, "parcel": parcel, "size": size})
    return found


def told(directory: str, names: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """What the journals say of these parcels: the paths that are told of, and which parcels are whole."""
    paths: dict[str, set[str]] = {}
    whole: set[str] = set()
    for journal in live.process_files(directory):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, journal), "rb") as file:
            for line in file:
                if not line.startswith((b'{"e":"kept"', b'{"e":"parcel"')):
                    continue
                event = events.parse_line(events.whole_lines(line)) or {}
                if event.get("parcel") not in names or not events.is_sound(event):
                    continue
                if event["e"] == "parcel":
                    whole.add(event["parcel"])
                else:
                    paths.setdefault(event["parcel"], set()).add(parcels.path_of(event))
    return paths, whole
