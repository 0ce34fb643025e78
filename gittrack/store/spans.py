"""Where the tensors of a file begin and end, so that a frozen one is stored once, whatever changes around it.

Files of torch and numpy are zip archives whose entries are stored as they are; safetensors has an index at its front.
Only the directory is read, and nothing is ever unpickled. Whatever is odd has no tensors: then content decides alone.
"""

import io
import json
import struct
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

SMALLEST = 64 * 1024  # smaller tensors share chunks: each cut costs an object
_DIRECTORY = 32 * 1024 * 1024  # of a zip archive, or the index of safetensors: more is no checkpoint
_LOCAL = struct.Struct("<4s22xHH")
ODD = (ValueError, KeyError, TypeError, AttributeError, struct.error, zipfile.BadZipFile, zipfile.LargeZipFile,
        NotImplementedError, RecursionError, EOFError, OverflowError, OSError)  # fmt: skip


def spans(file: BinaryIO, size: int) -> list[int]:
    """The offsets at which a large tensor begins or ends, in order. Moves the position of `file`."""
    file.seek(0)
    head = file.read(9)
    try:
        if head.startswith(b"PK\3\4"):
            tensors = sorted(_zip(file))
        elif len(head) == 9 and head[8:] == b"{":
            tensors = sorted(_safetensors(file, int.from_bytes(head[:8], "little")))
        else:
            return []
    except ODD:  # hurts nobody: the file is cut by its content
        return []
    return [offset for offset in _borders(tensors) if 0 < offset < size]


def _borders(tensors: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Where they begin and end. What overlaps is not believed: an index could ask for a cut at every byte."""
    last = 0
    for start, end in tensors:
        if start >= last and end - start >= SMALLEST:
            if start > last:
                yield start
            yield end
            last = end


def _zip(file: BinaryIO) -> Iterator[tuple[int, int]]:
    with zipfile.ZipFile(cast(BinaryIO, _Sparing(file))) as archive:
        entries = archive.infolist()
    for entry in entries:
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size >= SMALLEST:
            file.seek(entry.header_offset)
            magic, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
            if magic != b"PK\3\4":
                raise ValueError("no entry")
            start = entry.header_offset + _LOCAL.size + name + extra
            yield start, start + entry.file_size


def _safetensors(file: BinaryIO, length: int) -> Iterator[tuple[int, int]]:
    if length > _DIRECTORY:
        raise ValueError("too long")
    file.seek(8)
    index: dict[str, Any] = json.loads(file.read(length))
    for name, tensor in index.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            yield 8 + length + int(start), 8 + length + int(end)


class _Sparing(io.RawIOBase):
    """A file of which no great piece is read at once: zipfile reads a directory whole, however long it says it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if 0 <= size <= _DIRECTORY else _DIRECTORY + 1)
        if len(data) > _DIRECTORY:
            raise ValueError("too long")
        return data
