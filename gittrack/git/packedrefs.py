"""Many packed refs deleted at once, by one rewrite of packed-refs.

git makes a lock file for each ref that it deletes, in a directory that is made for it where the ref is packed: 5,000 of
them take it 1 to 6 s, and this 20 ms. The file is locked and replaced as git does it, so git may be at work meanwhile.
What git alone would guard against is an update of the same ref by somebody who is not gittrack; ours take turns
(`reflock`), and nobody else has business with these refs. A ref that is loose is git's to delete.
"""

import contextlib
import os
from collections.abc import Mapping

from gittrack.git import loose, reffiles
from gittrack.git.discover import Paths

NAME = "packed-refs"


class Locked(Exception):
    """Somebody else is rewriting the file. Never leaves this layer."""


def packed_only(paths: Paths, wanted: Mapping[str, str]) -> dict[str, str]:
    """Of refs below refs/track those of `wanted` (ref -> oid) that are packed at this oid and are not loose as well."""
    packed = reffiles.packed(paths.common_dir, "refs/track") if wanted else {}
    return {ref: oid for ref, oid in wanted.items() if packed.get(ref) == oid and not _is_loose(paths, ref)}


def drop(paths: Paths, gone: Mapping[str, str]) -> str | None:
    """Delete these refs; all of them, or (one is given that has moved) none. Raises Locked, CannotWrite."""
    place = os.path.join(paths.common_dir, NAME)
    lock = f"{place}.lock"
    try:
        file = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Locked from None
    except OSError as error:
        raise loose.cannot_write(error, lock) from error
    try:
        with open(file, "wb") as written:
            there = packed_only(paths, gone)
            if len(there) < len(gone):
                return next(ref for ref in gone if ref not in there)
            with open(place, "rb") as before:
                os.fchmod(file, os.fstat(before.fileno()).st_mode)
                written.write(_without(before.read(), gone))
            written.flush()
            os.fsync(file)
        os.rename(lock, place)
    except OSError as error:
        raise loose.cannot_write(error, place) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lock)
    return None


def _without(data: bytes, gone: Mapping[str, str]) -> bytes:
    lines = {os.fsencode(f"{oid} {ref}\n") for ref, oid in gone.items()}
    kept: list[bytes] = []
    dropped = False
    for line in data.splitlines(keepends=True):
        dropped = line in lines or (dropped and line.startswith(b"^"))  # `^`: what the tag before it is of
        if not dropped:
            kept.append(line)
    return b"".join(kept)


def _is_loose(paths: Paths, ref: str) -> bool:
    return os.path.lexists(os.path.join(paths.common_dir, ref))
