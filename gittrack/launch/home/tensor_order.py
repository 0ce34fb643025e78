"""Bytes of a large file that are wanted before their turn: where the tensors of an archive lie is said at its end, and
before each of them. Read first, they let a checkpoint of torch be cut into chunks while it still comes.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, cast

from gittrack.store.spans import ODD, SMALLEST

TAIL = 1 << 20
_HEADER = 30  # bytes before the name of an entry
_ENTRIES = 4000
_END = b"PK\5\6"

ReadMany = Callable[[Sequence[tuple[int, int]]], Sequence[bytes] | None]  # (offset, size) of each


def ahead(read: ReadMany, size: int) -> Mapping[int, bytes]:
    """Offset -> bytes, for a file of this size, which is larger than TAIL."""
    found = read([(size - TAIL, TAIL)])
    if not found:
        return {}
    known = {size - TAIL: found[0]}
    offsets = _headers(found[0], size) if _END in found[0] else []
    headers = read([(offset, _HEADER) for offset in offsets]) if offsets else None
    return {**known, **dict(zip(offsets, headers or (), strict=False))}


def _headers(tail: bytes, size: int) -> list[int]:
    """Where the headers of large entries are, of an archive of which only the end is known."""
    try:
        with zipfile.ZipFile(cast(BinaryIO, _Tail(tail, size))) as archive:
            entries = [one for one in archive.infolist()[:_ENTRIES] if one.file_size >= SMALLEST]
    except ODD:  # no archive, or one with a longer directory: then it is cut when all has come
        return []
    offsets = {one.header_offset for one in entries if one.compress_type == zipfile.ZIP_STORED}
    return sorted(offset for offset in offsets if 0 <= offset < size - TAIL - _HEADER)


class _Tail(io.RawIOBase):
    """A file of which only the end can be read."""

    def __init__(self, tail: bytes, size: int) -> None:
        self._tail = tail
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        start = self._at - (self._size - len(self._tail))
        if start < 0:
            raise ValueError("not read yet")
        data = self._tail[start:] if size < 0 else self._tail[start : start + size]
        self._at += len(data)
        return data
