"""A large file on its way into the store of this clone. Each of its bytes is written once, as part of a chunk, and what
has come is the list of these: a line `<sha256> <size>` for each, in `files/<sha256>.part` of the run's folder. The next
try takes the chunks from the store, and the rest from the host.

Where the connection breaks, the file ends for who cuts it: the last bytes that came are a chunk then, and need not come
again. Lines are written before chunks are durable. What the store has not when the list is read again does not count,
and whether all of it is right is said by the digest of the file.
"""

import io
import os
import re
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from gittrack.store.base import Store
from gittrack.store.chunklist import Chunk
from gittrack.store.content import chunk_key

_LINE = re.compile(rb"([0-9a-f]{64}) ([1-9][0-9]{0,8})\n")
_LONGEST = 100


class Arrived:
    """The chunks that have come, from the start of the file on."""

    def __init__(self, path: str, store: Store) -> None:
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed by close()
        self._file.seek(0)
        self.chunks = list(_chunks(self._file, store))
        self.size = sum(chunk.size for chunk in self.chunks)  # bytes of the file
        self._expected = deque(self.chunks)  # those that are cut again
        self._end = 0

    def add(self, chunk: Chunk) -> None:
        """The next one is in the store."""
        line = _line(chunk)
        if not self._expected or self._expected.popleft() != chunk:
            self._expected.clear()
            self._file.truncate(self._end)
            self._file.write(line)
        self._end += len(line)

    def close(self) -> None:
        self._file.close()


class Arriving(io.RawIOBase):
    """What comes, to be read in order. `error`: why there was no more."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.error: Exception | None = None
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._piece and self.error is None:
            try:
                self._piece = memoryview(next(self._pieces, b""))
            except Exception as error:  # noqa: BLE001 - who has put what came raises it
                self.error = error
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count


def _chunks(file: BinaryIO, store: Store) -> Iterator[Chunk]:
    while match := _LINE.fullmatch(file.readline(_LONGEST)):
        chunk = Chunk(match[1].decode(), int(match[2]))
        if store.size(chunk_key(chunk.sha256)) != chunk.size:
            return
        yield chunk


def _line(chunk: Chunk) -> bytes:
    return f"{chunk.sha256} {chunk.size}\n".encode()


def forget(path: str) -> None:
    """Start over."""
    os.truncate(path, 0)
