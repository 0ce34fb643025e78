"""How objects get into a repository, whichever backend reads it: few as loose objects, many as one pack.

Written first, referred to later: nothing here moves a ref.
"""

import os
import threading
from collections.abc import Callable, Sequence

from gittrack.git import loose, ownpacks, pack
from gittrack.git.command import Git
from gittrack.git.objects import Object, unique

PACK_FROM = 500  # objects in one call: from here on one pack is faster than files (2 ms of git against 45 µs each)
BIG = 256 * 1024  # bytes: from here on compressing takes milliseconds, and a second core is worth a thread


class Writer:
    """`packed(object)` is the backend's: whether a pack has the object, marking that pack as used if so."""

    def __init__(self, git: Git, algorithm: str, packed: Callable[[Object], bool]) -> None:
        self._git = git
        self._algorithm = algorithm
        self._packed = packed
        self._objects = os.path.join(git.paths.common_dir, "objects")
        self._unsynced: list[str] = []

    def write(self, objects: Sequence[Object], durable: bool, bases: pack.Bases | None = None) -> None:
        once = unique(objects)
        if len(once) >= PACK_FROM:  # without asking what is there: each miss makes git look through its packs again
            ownpacks.add(self._git.paths.common_dir, [pack.install(self._git, once, self._algorithm, bases)])
        else:
            self._unsynced += self._loose([each for each in once if not self._known(each)], durable)
        if durable:
            loose.flush(self._unsynced)
            self._unsynced.clear()

    def _known(self, found: Object) -> bool:
        fresh = loose.freshen(self._objects, found.oid)
        return self._packed(found) if fresh is None else fresh

    def _loose(self, objects: Sequence[Object], durable: bool) -> list[str]:
        big = [each for each in objects if len(each.data) >= BIG]
        small = [each for each in objects if len(each.data) < BIG]
        if len(big) < 2:
            return [loose.write(self._objects, each, durable) for each in objects]
        # zlib lets go of the interpreter: two threads use two cores, more would take them from the training
        half = _Half(self._objects, big[::2], durable)
        half.start()
        try:
            written = [loose.write(self._objects, each, durable) for each in (*big[1::2], *small)]
        finally:
            half.join()
        if half.error is not None:
            raise half.error
        return written + half.written


class _Half(threading.Thread):
    """Writes some objects beside the caller; keeps an error for it."""

    def __init__(self, objects: str, share: Sequence[Object], durable: bool) -> None:
        super().__init__(name="gittrack-objects", daemon=True)
        self._arguments = (objects, share, durable)
        self.written: list[str] = []
        self.error: Exception | None = None

    def run(self) -> None:
        objects, share, durable = self._arguments
        try:
            self.written = [loose.write(objects, each, durable) for each in share]
        except Exception as error:  # noqa: BLE001  raised again where it can be handled: by the thread that waits
            self.error = error
