"""Closing a job whose container is gone: what waits is kept, the console's end comes in, the last cut is made.

Everything can be done again: killed anywhere, the next call goes on, and of a closed job it changes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from typing import Any

from gittrack import errors
from gittrack.attendant import job as jobs
from gittrack.attendant import storing
from gittrack.attendant.job import Job, Place
from gittrack.attendant.running import begin
from gittrack.core import events
from gittrack.record.starter import NAME
from gittrack.recorder import encode, files
from gittrack.runs import closing, live, tail
from gittrack.runs.cutting import Cutter
from gittrack.store import durable as disk

_LATER = ("process", "kept", "parcel")  # what is written when files are kept, however late
KILLED = "it was stopped: it did not end in the time that it was given, and was killed"
NOT_STARTED = "its command was never started"


def close(
    job: Job, place: Place, status: str, reason: str | None, code: int | None = None, at: float | None = None
) -> bool:
    """Make the final cut of a job, whose lock the caller holds. False while one of its processes is alive.

    `at`: when it ended, in seconds since the epoch; when the last line was written, where nobody knows.
    Raises GittrackError, OSError.
    """
    directory = place.run
    cutter = Cutter(directory, disk.sync)
    if cutter.closed:
        return True
    redactor = jobs.redactor(job, jobs.variables(place.folder))
    if not os.path.exists(os.path.join(directory, NAME)):
        begin(job, place, redactor).close()
        status, reason = "failed", reason or NOT_STARTED
    if live.held(directory, live.process_files(directory)):
        return False
    if live.head(directory) is None:
        raise errors.DamagedRecord(f"{os.path.join(directory, NAME)} has no beginning", "remove the job")
    if closing.admit(directory):
        storing.keep(job, place)
    if not files.has_ended(directory):
        stopped = status == "crashed" and place.is_stopped
        say_end(directory, {
            "code": code,
            "reason": KILLED if stopped else redactor.text(reason) if reason else None,
            "signal": None,
            "status": "killed" if stopped else status,
        }, at)  # fmt: skip

    def end_console() -> None:
        if tail.exists(directory):
            tail.close(directory, redactor.stream())

    return closing.final_cut(cutter, time.time(), status, (), end_console)


def say_end(directory: str, fields: dict[str, Any], at: float | None = None) -> None:
    """The `end` event in the place of the starter, which is gone. `at`: as for `close`. Raises OSError."""
    first = live.head(directory)
    assert first is not None
    began = float(first[0]["w"])
    last = max(_last_time(directory), began)
    w = min(max(at, last), time.time()) if at is not None else last
    inner = "".join(f"{encode.quote(name)}:{encode.encode(value)}," for name, value in fields.items())
    line = f'{{"e":"end",{inner}"t":{max(w - began, 0.0):.6f},"w":{w:.6f}}}\n'
    _append(os.path.join(directory, NAME), line.encode())


def _append(path: str, line: bytes) -> None:
    """Behind a line that somebody was killed in, if there is one; on the disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_time(directory: str) -> float:
    """When the command last said something, as far as the ends of the journals tell."""
    last = 0.0
    for name in live.process_files(directory):
        with contextlib.suppress(OSError, ValueError), open(os.path.join(directory, name), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            for line in events.whole_lines(file.read()).split(b"\n"):
                with contextlib.suppress(ValueError, AttributeError, TypeError):
                    event = json.loads(line)
                    if event.get("e") not in _LATER and events.is_time(event.get("w")):
                        last = max(last, float(event["w"]))
    return last
