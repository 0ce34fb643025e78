"""Many objects at once: one pack stream, built here, which git checks and puts into place in one step.

A thousand loose objects would bring the user's repository a sixth of the way to an automatic gc. Packs hold no deltas:
git makes them when it repacks.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence

from gittrack import errors
from gittrack.git.command import Git, failure
from gittrack.git.objects import Object

_TYPES = {"commit": 1, "tree": 2, "blob": 3}


def stream(objects: Sequence[Object], algorithm: str) -> Iterator[bytes]:
    """The pack file of `objects` (each once), piece by piece."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for piece in _pieces(objects):
        digest.update(piece)
        yield piece
    yield digest.digest()


def install(git: Git, objects: Sequence[Object], algorithm: str) -> str:
    """Store as one pack, flushed to disk by git; gives its name (`pack-<hash>`). Killed, it leaves nothing."""
    args = ("index-pack", "--stdin")
    with git.popen(*args, stdin=-1, own_session=True) as process:
        assert process.stdin is not None
        try:
            for piece in stream(objects, algorithm):
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


def _pieces(objects: Sequence[Object]) -> Iterator[bytes]:
    yield struct.pack(">4sLL", b"PACK", 2, len(objects))
    for found in objects:
        yield _head(_TYPES[found.kind], len(found.data))
        yield zlib.compress(found.data, 6)


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
