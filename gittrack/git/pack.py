"""Many objects at once: one pack stream, built here, which git checks and puts into place in one step.

A thousand loose objects would bring the user's repository a sixth of the way to an automatic gc. An object is stored as
a delta where the caller names an earlier version of it: ten thousand checkpoints take a third of the space then.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence

from gittrack import errors
from gittrack.git import delta
from gittrack.git.command import Git, failure
from gittrack.git.objects import Object

_TYPES = {"commit": 1, "tree": 2, "blob": 3}
_DELTA = 6  # against an object that stands earlier in the same pack
_HEADER = 12  # bytes before the first object

Bases = Mapping[str, str]  # oid -> oid of an earlier version of the same file or directory


def stream(objects: Sequence[Object], algorithm: str, bases: Bases | None = None) -> Iterator[bytes]:
    """The pack file of `objects` (each once), piece by piece."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for piece in _pieces(objects, bases or {}):
        digest.update(piece)
        yield piece
    yield digest.digest()


def install(git: Git, objects: Sequence[Object], algorithm: str, bases: Bases | None = None) -> str:
    """Store as one pack, flushed to disk by git; gives its name (`pack-<hash>`). Killed, it leaves nothing."""
    args = ("index-pack", "--stdin")
    with git.popen(*args, stdin=-1, own_session=True) as process:
        assert process.stdin is not None
        try:
            for piece in stream(objects, algorithm, bases):
                process.stdin.write(piece)
        except BrokenPipeError:  # git said why on its way out
            pass
        except BaseException:
            process.kill()
            raise
        out, err = process.communicate()
    if process.returncode != 0:
        raise failure(args, process.returncode, err, git.paths)
    words = out.split()
    if len(words) != 2:
        raise errors.GitFailed(f"git index-pack answered {out!r}")
    return "pack-" + words[1].decode()


def head(found: Object) -> bytes:
    """What stands before the compressed data of an object that is stored whole."""
    return _head(_TYPES[found.kind], len(found.data))


def _pieces(objects: Sequence[Object], bases: Bases) -> Iterator[bytes]:
    """The header, then one piece an object. Bases that are not in this pack are passed over."""
    yield struct.pack(">4sLL", b"PACK", 2, len(objects))
    place: dict[str, tuple[int, int, Object]] = {}  # offset, depth, object: of what may be a base
    wanted = set(bases.values())
    at = _HEADER
    for found in objects:
        offset, depth, base = place.get(bases.get(found.oid, ""), (0, delta.DEPTH, None))
        if base is not None and depth < delta.DEPTH:
            data = delta.encode(base.data, found.data)
            piece = _head(_DELTA, len(data)) + _distance(at - offset) + zlib.compress(data, 6)
            depth += 1
        else:
            piece = head(found) + zlib.compress(found.data, 6)
            depth = 0
        if found.oid in wanted:
            place[found.oid] = (at, depth, found)
        at += len(piece)
        yield piece


def _distance(number: int) -> bytes:
    """How far back the base begins, in git's offset encoding (each continued byte also adds one)."""
    out = [number & 0x7F]
    while number := number >> 7:
        number -= 1
        out.append(0x80 | number & 0x7F)
    return bytes(reversed(out))


def _head(kind: int, size: int) -> bytes:
    """Type and size: four bits of the size in the first byte, seven in each that follows, lowest first."""
    byte = kind << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    out.append(byte)
    return bytes(out)
