"""The text that says of which chunks a file is made (docs/format.md).

Anybody who may write to a store can write such a text, so reading is strict: one form, and sizes that add up.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gittrack import errors

_HEAD = re.compile(rb"gittrack chunks ([1-9][0-9]{0,8}) (0|[1-9][0-9]{0,18})")
_LINE = re.compile(rb"([0-9a-f]{64}) ([1-9][0-9]{0,18})")
VERSION = 1


class Chunk(NamedTuple):
    """One piece of a file."""

    sha256: str
    size: int


def encode(chunks: Sequence[Chunk]) -> bytes:
    lines = [f"gittrack chunks {VERSION} {sum(chunk.size for chunk in chunks)}"]
    lines += [f"{chunk.sha256} {chunk.size}" for chunk in chunks]
    return ("\n".join(lines) + "\n").encode()


def decode(text: bytes, sha256: str, size: int | None) -> list[Chunk]:
    """The chunks of the file `sha256` of `size` bytes; None: of as many as the list says. Raises CorruptContent, or
    NewerFormat."""
    *lines, last = text.split(b"\n")
    head = _HEAD.fullmatch(lines[0]) if lines else None
    if head and int(head[1]) > VERSION:
        raise errors.NewerFormat(f"the chunk list of {sha256} is of version {int(head[1])}", "upgrade gittrack")
    found = [_LINE.fullmatch(line) for line in lines[1:]]
    if head is None or last or None in found:
        raise corrupt(sha256, "its chunk list is not one")
    chunks = [Chunk(match[1].decode(), int(match[2])) for match in found if match]
    expected = int(head[2]) if size is None else size
    if not int(head[2]) == expected == sum(chunk.size for chunk in chunks):
        raise corrupt(sha256, f"its chunk list does not add up to {expected} bytes")
    return chunks


def corrupt(sha256: str, why: str) -> errors.CorruptContent:
    hint = "fetch it from another store or clone, or delete the run's artifacts"
    return errors.CorruptContent(f"the stored artifact {sha256} is damaged: {why}", hint)
