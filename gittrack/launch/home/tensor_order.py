"""Where the tensors of a large file at a host lie, before it has come: an archive says so at its end and before each of
them, safetensors at its front. Read first, they let a checkpoint be cut into chunks while it still comes.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from gittrack.store.spans import ODD, SMALLEST

HEAD, TAIL = 1 << 16, 1 << 20
_HEADER = 30  # bytes before the name of an entry
_ENTRIES = 20_000
_MISSES = 16  # turns for what is in none of these places
_END = b"PK\5\6"

ReadMany = Callable[[Sequence[tuple[int, int]]], Sequence[bytes] | None]  # (offset, size) of each


class Index(io.RawIOBase):
    """A file that is larger than HEAD and TAIL, to be read in any order. What is wanted of it comes in two turns."""

    def __init__(self, read: ReadMany, size: int) -> None:
        self._read = read
        self._size = size
        self._at = self._misses = 0
        self._known: dict[int, bytes] = {}  # by offset
        self._bring([(0, HEAD), (size - TAIL, TAIL)])
        if offsets := self._headers():
            self._bring([(offset, _HEADER) for offset in offsets])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """All that was asked for. Raises OSError where the host has it not, or where too much of this was asked for."""
        left = max(0, self._size - self._at)
        size = left if size < 0 else min(size, left)
        for start in (self._at, 0, self._size - TAIL):
            data = self._known.get(start, b"")[self._at - start :] if start <= self._at else b""
            if len(data) >= size:
                break
        else:
            self._misses += 1
            if self._misses > _MISSES:
                raise OSError("too much of the file is its index")
            self._bring([(self._at, size)])
            data = self._known[self._at]
        self._at += size
        return data[:size]

    def _bring(self, places: Sequence[tuple[int, int]]) -> None:
        found = self._read(places)
        if found is None:
            raise OSError("it has not so many bytes")
        self._known.update((offset, data) for (offset, _), data in zip(places, found, strict=True))

    def _headers(self) -> list[int]:
        """Where the headers of large entries are, if it is an archive."""
        if _END not in self._known[self._size - TAIL]:
            return []
        try:
            with zipfile.ZipFile(cast(BinaryIO, self)) as archive:
                entries = [one for one in archive.infolist()[:_ENTRIES] if one.file_size >= SMALLEST]
        except ODD:
            return []
        offsets = {one.header_offset for one in entries if one.compress_type == zipfile.ZIP_STORED}
        return sorted(offset for offset in offsets if 0 <= offset < self._size - TAIL - _HEADER)
