"""The starter's journal, run.jsonl, as the front process and the keeper share it.

The recorder's own Journal gives a forked child a new file, as it must in a training. Here both sides of the fork write
the one file, never at the same time, and its lock is held until both are gone: no other command can take the run for
dead between the end of one and the take-over by the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from gittrack.recorder import encode, files

NAME = "run.jsonl"


class Starter:
    """Appends events of the process that started the run. Raises OSError: who starts a run wants to know."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._file = files.create(directory, NAME)

    def now(self) -> tuple[float, float]:
        """Seconds since this file's first line, and since the epoch."""
        return time.monotonic() - self._file.zero, time.time()

    def event(self, kind: str, fields: Mapping[str, object], at: tuple[float, float] | None = None) -> None:
        """One event, of this moment unless `at` gives another."""
        t, w = at or self.now()
        inner = "".join([f"{encode.quote(name)}:{encode.encode(value)}," for name, value in fields.items()])
        self._append(f'{{"e":{encode.quote(kind)},{inner}"t":{t:.6f},"w":{w:.6f}}}\n')

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """One metric line."""
        t, w = self.now()
        inner = ",".join([f"{encode.quote(name)}:{encode.number(value)}" for name, value in values.items()])
        self._append(f'{{"m":{{{inner}}},"s":{step},"t":{t:.6f},"w":{w:.3f}}}\n')

    def lend(self) -> None:
        """Let the command inherit the lock, so that the run stays open for it when both of our processes are killed.

        Whoever of us is left when the command ends does not ask for this lock, so a daemon that the command leaves
        behind keeps the run open only if neither of us is there to close it.
        """
        os.set_inheritable(self._file.fd, True)

    def mend(self) -> None:
        """End a line that the other process was killed in."""
        with open(os.path.join(self.directory, NAME), "rb") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    self._append("\n")

    def close(self) -> None:
        if self._file.fd >= 0:
            files.close(self._file.fd)
            self._file.fd = -1

    def _append(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._file.fd, data) :]
