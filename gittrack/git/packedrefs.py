"""Many refs deleted at once, by one rewrite of packed-refs.

git makes a lock file for each ref that it deletes, in a directory that is made for it where the ref is packed: 5,000 of
them take it 1 to 6 s, and this 20 ms. The file is locked and replaced as git does it, and so are those refs among them
that are loose; so git may be at work meanwhile. What git alone would guard against is an update of a packed ref by
somebody who is not gittrack; ours take turns (`reflock`), and nobody else has business with these refs.

All is locked, looked at and written before anything is deleted: in between the caller may move other refs, so that what
stands in the way is found before.
"""

import contextlib
import os
from collections.abc import Collection, Mapping

from gittrack.git import loose, reffiles
from gittrack.git.discover import Paths

NAME = "packed-refs"


class Locked(Exception):
    """Somebody else has this lock file. Never leaves this layer."""


class Moved(Exception):
    """This ref is not where it was said to be. Never leaves this layer."""


def packed_only(paths: Paths, wanted: Mapping[str, str]) -> dict[str, str]:
    """Of refs below refs/track those of `wanted` (ref -> oid) that are packed at this oid and are not loose as well."""
    packed = reffiles.packed(paths.common_dir, "refs/track") if wanted else {}
    return {ref: oid for ref, oid in wanted.items() if packed.get(ref) == oid and not _is_loose(paths.common_dir, ref)}


class Deletion:
    """Refs that are about to be deleted, locked: `finish` deletes them, `close` lets go of them."""

    def __init__(self, paths: Paths, gone: Mapping[str, str]) -> None:
        """Raises Locked, Moved, CannotWrite."""
        self._common = paths.common_dir
        self._locks: list[str] = []
        self._loose: list[str] = []
        self._gone = list(gone)
        try:
            file = self._locked(NAME)
            with open(file, "wb") as written:
                there = reffiles.packed(self._common, "refs/track")
                for ref, oid in gone.items():
                    self._check(ref, oid, there.get(ref))
                with open(self._place(NAME), "rb") as before:
                    os.fchmod(file, os.fstat(before.fileno()).st_mode)
                    written.write(_without(before.read(), gone))
                written.flush()
                os.fsync(file)
        except OSError as error:
            self.close()
            raise loose.cannot_write(error, self._place(NAME)) from error
        except BaseException:
            self.close()
            raise

    def finish(self) -> None:
        """Delete them. Raises CannotWrite, and then nothing was deleted."""
        try:
            os.rename(self._locks[0], self._place(NAME))
        except OSError as error:
            raise loose.cannot_write(error, self._place(NAME)) from error
        del self._locks[0]
        has_logs = os.path.isdir(self._place("logs/refs/track"))  # core.logAllRefUpdates is `always`
        places = [*self._loose, *(f"logs/{ref}" for ref in self._gone if has_logs)]
        for place in map(self._place, places):
            with contextlib.suppress(OSError):
                os.unlink(place)
        for folder in {os.path.dirname(self._place(f"logs/{ref}")) for ref in self._gone} if has_logs else ():
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def close(self) -> None:
        """May be called twice."""
        while self._locks:
            with contextlib.suppress(OSError):
                os.unlink(self._locks[-1])
            self._locks.pop()
        for ref in self._loose:
            with contextlib.suppress(OSError):  # as git does, where it is empty now
                os.rmdir(os.path.dirname(self._place(ref)))

    def _check(self, ref: str, oid: str, packed: str | None) -> None:
        if _is_loose(self._common, ref):
            os.close(self._locked(ref))
            self._loose.append(ref)
            with open(self._place(ref), "rb") as file:
                packed = file.read(200).decode("ascii", "replace").strip()
        if packed != oid:
            raise Moved(ref)

    def _locked(self, name: str) -> int:
        lock = f"{self._place(name)}.lock"
        try:
            file = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            raise Locked(lock) from None
        self._locks.append(lock)
        return file

    def _place(self, name: str) -> str:
        return os.path.join(self._common, name)


def _without(data: bytes, gone: Collection[str]) -> bytes:
    names = {os.fsencode(ref) for ref in gone}
    kept: list[bytes] = []
    dropped = False
    for line in data.splitlines(keepends=True):
        is_peeled = line.startswith(b"^")  # what the tag before it is of
        dropped = dropped if is_peeled else line.rstrip(b"\n").partition(b" ")[2] in names
        if not dropped:
            kept.append(line)
    return b"".join(kept)


def _is_loose(common: str, ref: str) -> bool:
    return os.path.lexists(os.path.join(common, ref))
