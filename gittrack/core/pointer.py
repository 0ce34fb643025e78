"""git-lfs pointers: the text that stands in a tree for a file whose bytes git-lfs keeps.

Version 1 of its specification, in the one form that git-lfs itself writes, so that equal files have equal pointers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

VERSION = "https://git-lfs.github.com/spec/v1"
LONGEST = 1024  # bytes; git-lfs takes nothing longer for a pointer

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n?\Z"
)


class Pointer(NamedTuple):
    """What a pointer says."""

    sha256: str
    size: int


def encode(sha256: str, size: int) -> bytes:
    """The pointer for a file; the empty file stands for itself."""
    return f"version {VERSION}\noid sha256:{sha256}\nsize {size}\n".encode() if size else b""


def decode(data: bytes) -> Pointer | None:
    """What `data` points to, or None when it is no pointer."""
    match = _POINTER.match(data) if len(data) < LONGEST else None
    return Pointer(match[1].decode(), int(match[2])) if match else None
