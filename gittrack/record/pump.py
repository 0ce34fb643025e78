"""Moves the command's output on to the user, unchanged and at once, and gives the console record a copy.

The front process pumps. When it is killed the keeper goes on where it stood: both hold the same descriptors, so nothing
that is in a pipe is lost, and the command notices nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
from collections.abc import Iterable

from gittrack.record.console import Console
from gittrack.record.terminal import PIPE_BYTES, Source

PIECE = 256 * 1024
SETTLED = 20  # milliseconds: what a process that has ended wrote to a pseudo-terminal may be on its way that long


class Pump:
    """Reads all sources while they are open. `broken` holds sources whose reader at the user's end has gone."""

    def __init__(self, sources: Iterable[Source], console: Console, in_front: bool) -> None:
        self.broken: list[Source] = []
        self._console = console
        self._in_front = in_front
        self._mute: set[int] = set()  # targets that take nothing any more
        self._open = {source.reader: source for source in sources}

    @property
    def readers(self) -> list[int]:
        """Descriptors to wait for."""
        return list(self._open)

    def take(self, reader: int) -> int:
        """Move what one source has, and return how much that was. Call it when `reader` is ready."""
        source = self._open.get(reader)
        if source is None:
            return 0
        try:
            data = os.read(reader, PIECE)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EBADF):  # EIO: nobody has the pseudo-terminal open any more
                raise
            data = b""
        if not data:
            self._close(source)
            return 0
        self._console.feed(data)  # first: what was seen is recorded, also when we are killed in between
        self._pass_on(source, data)
        return len(data)

    def drain(self) -> None:
        """Move what a command that has ended left behind; whoever else still writes is not waited for."""
        left = dict.fromkeys(self._open, PIPE_BYTES + PIECE)  # more than that was not there when it ended
        while self._open:
            patience = SETTLED if any(source.terminal for source in self._open.values()) else 0
            ready = [reader for reader in wait(self._open, patience) if left[reader] > 0]
            if not ready:
                return
            for reader in ready:
                left[reader] -= self.take(reader)

    def finish(self) -> None:
        """Nothing more is taken: write what the record holds back. May be called twice."""
        self._console.finish()

    @property
    def failed(self) -> OSError | None:
        """Why the console is not recorded any more."""
        return self._console.failed

    def mute_streams(self, streams: Iterable[int]) -> None:
        """Write nothing more to these of the user's descriptors."""
        self._mute.update(streams)

    def close(self, source: Source) -> None:
        """Stop reading a source, whose writers then get SIGPIPE as they would have without us."""
        if source.reader in self._open:
            self._close(source)

    def _pass_on(self, source: Source, data: bytes) -> None:
        if source.target in self._mute:
            return
        view = memoryview(data)
        try:
            while view:
                try:
                    view = view[os.write(source.target, view) :]
                except BlockingIOError:  # somebody who has it too (ssh, node) made it so; to give up would lose output
                    select.select([], [source.target], [])
        except OSError as error:
            # The user's terminal is gone, their disk is full, or (`| head`) the next program has read enough.
            self._mute.add(source.target)
            if error.errno == errno.EPIPE and self._in_front:
                self.broken.append(source)
                self._close(source)

    def _close(self, source: Source) -> None:
        del self._open[source.reader]
        with contextlib.suppress(OSError):
            os.close(source.reader)


def wait(readers: Iterable[int], milliseconds: int | None) -> list[int]:
    """Those of `readers` that have something to read or have ended. Signals do not end the wait."""
    if sys.platform == "darwin":  # its poll(2) knows no terminals
        return select.select(list(readers), [], [], None if milliseconds is None else milliseconds / 1000)[0]
    poll = select.poll()
    for reader in readers:
        poll.register(reader, select.POLLIN)
    return [reader for reader, _ in poll.poll(milliseconds)]
