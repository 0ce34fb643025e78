"""What the front process and the keeper say to each other: one document per line, over two pipes.

The end of a pipe is a message too: it says that the other one is gone.
"""

import contextlib
import json
import os
from typing import Any


class Line:
    """Both directions. Make it before the fork, then call `keep` on either side with its own number, 0 or 1."""

    def __init__(self) -> None:
        self._pipes = (os.pipe(), os.pipe())
        self.reader = -1
        self._writer = -1
        self._rest = b""

    def keep(self, side: int) -> None:
        """Become one side; the other's descriptors are closed here, so that its end can be noticed."""
        (self.reader, other_writer), (other_reader, self._writer) = self._pipes[side], self._pipes[1 - side]
        os.close(other_writer)
        os.close(other_reader)

    def send(self, kind: str, **fields: Any) -> bool:
        """Say something; False when nobody is there to hear it."""
        data = json.dumps({"kind": kind, **fields}).encode() + b"\n"  # ASCII: text that is no UTF-8 stays text
        try:
            while data:
                data = data[os.write(self._writer, data) :]
        except OSError:
            return False
        return True

    def receive(self) -> list[dict[str, Any]] | None:
        """At least one message, after waiting for it; None when the other side is gone."""
        while True:
            try:
                data = os.read(self.reader, 1 << 16)
            except OSError:
                data = b""
            if not data:
                return None
            *lines, self._rest = (self._rest + data).split(b"\n")
            if lines:
                return [json.loads(line) for line in lines]

    def close(self) -> None:
        for descriptor in (self.reader, self._writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.reader = self._writer = -1
