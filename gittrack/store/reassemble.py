"""Files put together from their chunks, and never handed over unverified.

A whole file is verified by its own sha256 in one pass; only when that is wrong are the chunks looked at one by one, to
say which is damaged. So a checkout hashes each byte once, as whoever copies and verifies by hand does.
"""

import bisect
import contextlib
import hashlib
import io
import itertools
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from gittrack import errors
from gittrack.store.chunklist import Chunk, corrupt
from gittrack.store.hashing import Whole

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Fetch = Callable[[Chunk], bytes]
Sink = Callable[[bytes], None]
_HELD = 2  # chunks of an open file in memory: who reads a directory at the end goes back and forth


def pieces(fetch: Fetch, sha256: str, chunks: Sequence[Chunk], workers: int) -> Iterator[bytes]:
    """The file, chunk by chunk, in order. Raises CorruptContent at its end when it was not the one named."""
    with Whole() as whole:
        whole.start()
        for data in _ahead(fetch, chunks, workers):
            whole.update(data)
            yield data
        if whole.hexdigest() != sha256:
            raise _which(fetch, sha256, chunks)


def write(path: str, mode: int, fill: Callable[[Sink], None]) -> None:
    """Have `fill` write a new file, then give it the name `path`: whole or not at all. Never follows a link there."""
    temporary = os.path.join(os.path.dirname(path) or ".", f".gittrack-{os.getpid()}-{secrets.token_hex(6)}")
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        try:
            fill(lambda data: _write_all(file, data, path))
        finally:
            os.close(file)
        try:
            os.rename(temporary, path)
        except OSError as error:
            raise _cannot_write(path, error) from error
    except BaseException:
        with contextlib.suppress(OSError):  # the error that brought us here says more
            os.unlink(temporary)
        raise


class Reader(io.RawIOBase):
    """A file of which only those chunks are fetched that are read. Each is verified, the whole is not."""

    def __init__(self, fetch: Fetch, sha256: str, chunks: Sequence[Chunk]) -> None:
        self._fetch = fetch
        self._sha256 = sha256
        self._chunks = chunks
        self._ends = list(itertools.accumulate(chunk.size for chunk in chunks))
        self._size = self._ends[-1] if chunks else 0
        self._position = 0
        self._held: deque[tuple[int, bytes]] = deque(maxlen=_HELD)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(22, "before the start of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._position >= self._size:
            return 0
        number = bisect.bisect_right(self._ends, self._position)
        data = self._chunk(number)
        place = self._position - (self._ends[number] - len(data))
        target = memoryview(buffer).cast("B")
        piece = data[place : place + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _chunk(self, number: int) -> bytes:
        for held, data in self._held:
            if held == number:
                return data
        chunk = self._chunks[number]
        data = self._fetch(chunk)
        if not _good(data, chunk):
            raise _damaged(self._sha256, chunk)
        self._held.append((number, data))
        return data


def _ahead(fetch: Fetch, chunks: Sequence[Chunk], workers: int) -> Iterator[bytes]:
    """The chunks in order, `workers` of them being fetched while one is worked on."""
    if len(chunks) < 2:
        yield from map(fetch, chunks)
        return
    rest = iter(chunks)
    with ThreadPoolExecutor(workers, "gittrack-chunks") as pool:
        coming: deque[Future[bytes]] = deque(pool.submit(fetch, chunk) for chunk in itertools.islice(rest, workers + 1))
        try:
            while coming:
                data = coming.popleft().result()
                coming.extend(pool.submit(fetch, chunk) for chunk in itertools.islice(rest, 1))
                yield data
        finally:
            for future in coming:
                future.cancel()


def _which(fetch: Fetch, sha256: str, chunks: Sequence[Chunk]) -> errors.CorruptContent:
    for chunk in chunks:
        if not _good(fetch(chunk), chunk):
            return _damaged(sha256, chunk)
    return corrupt(sha256, "its chunk list names other chunks")


def _good(data: bytes, chunk: Chunk) -> bool:
    return len(data) == chunk.size and hashlib.sha256(data).hexdigest() == chunk.sha256


def _damaged(sha256: str, chunk: Chunk) -> errors.CorruptContent:
    return corrupt(sha256, f"the bytes of its chunk {chunk.sha256} have changed")


def _write_all(file: int, data: bytes, path: str) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(file, view) :]
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: str, error: OSError) -> errors.CannotWrite:
    hint = "free some space or choose another place, then run the command again"
    return errors.CannotWrite(f"{path} cannot be written: {error.strerror}", hint)
