"""What a process has printed and nobody has read yet, kept in the pieces in which it came.

paramiko keeps it in one array, out of which each read takes a copy and moves all that is behind it: for a large file
that costs as much as receiving it.
"""

import threading
from collections import deque
from typing import Any

from paramiko.buffered_pipe import PipeTimeout

_SMALL, _JOINED = 1 << 12, 1 << 16  # bytes of a piece that is put to the one before it, and what they grow to
_MUCH, _PATIENCE = 1 << 20, 0.02  # bytes; seconds


class Pieces:
    """In the place of paramiko's BufferedPipe. A host may send a byte at a time: small pieces are joined.

    One thread feeds, another one reads. It waits for a lock that is released when there is something for it: a
    Condition would run code of its own before and after, which is a good part of what a line of console takes here.
    """

    def __init__(self) -> None:
        self._pieces: deque[Any] = deque()  # bytes, a view of them, or a bytearray that still grows
        self._size = 0  # of all of them
        self._closed = False
        self._guard = threading.Lock()
        self._bell = threading.Lock()
        self._enough = 0  # bytes for which the bell is rung; 0: nobody waits for it

    def feed(self, data: bytes) -> None:
        with self._guard:
            last = self._pieces[-1] if self._pieces else None
            if len(data) < _SMALL and isinstance(last, bytearray) and len(last) < _JOINED:
                last += data
            elif data:
                self._pieces.append(bytearray(data) if len(data) < _SMALL else data)
            self._size += len(data)
            if 0 < self._enough <= self._size:
                self._ring()

    def read_ready(self) -> bool:
        return self._size > 0

    def read(self, size: int, timeout: float | None = None) -> bytes:
        """At least one byte, b"" at the end. Raises PipeTimeout."""
        if not self._size:
            self._wait(size, timeout)
        with self._guard:
            if not self._size:
                return b""
            found = self._taken(size)
            self._size -= len(found)
            return found

    def _taken(self, size: int) -> bytes:
        """As many whole pieces as fit, or a part of the first."""
        first = self._pieces.popleft()
        if len(first) > size:
            view = memoryview(first)
            self._pieces.appendleft(view[size:])
            return bytes(view[:size])
        some = [first]
        left = size - len(first)
        while self._pieces and len(self._pieces[0]) <= left:
            some.append(self._pieces.popleft())
            left -= len(some[-1])
        return b"".join(some)  # one piece that came as bytes is not copied

    def _wait(self, size: int, timeout: float | None) -> None:
        """Who asks for much is not woken for each packet: to and fro between two threads costs more than these."""
        if not self._came(1, timeout):
            raise PipeTimeout
        if size >= _MUCH:
            self._came(size // 2, _PATIENCE)

    def _came(self, enough: int, timeout: float | None) -> bool:
        """Whether there is so much, or no more to come, before the time is over."""
        with self._guard:
            if self._size >= enough or self._closed:
                return True
            self._bell.acquire(blocking=False)  # one that was rung for who did not wait to the end
            self._enough = enough
        if self._bell.acquire(timeout=-1 if timeout is None else timeout):
            return True
        with self._guard:
            self._enough = 0
            return self._size >= enough or self._closed

    def _ring(self) -> None:
        self._enough = 0
        self._bell.release()

    def close(self) -> None:
        with self._guard:
            self._closed = True
            if self._enough:
                self._ring()

    def __len__(self) -> int:
        return self._size
