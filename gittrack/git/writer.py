"""How objects get into a repository, whichever backend reads it: few as loose objects, many as one pack.

Written first, referred to later: nothing here moves a ref.
"""

import os
from collections.abc import Callable, Sequence

from gittrack.git import loose, ownpacks, pack, workers
from gittrack.git.command import Git
from gittrack.git.objects import Object, unique

PACK_FROM = 64  # objects in one call: from here on one pack is faster than as many flushed files, and holds deltas
BIG = 256 * 1024  # bytes: from here on compressing takes milliseconds, and a second core is worth a thread


class Writer:
    """`packed(object)` is the backend's: whether a pack has the object, marking that pack as used if so."""

    def __init__(self, git: Git, algorithm: str, packed: Callable[[Object], bool]) -> None:
        self._git = git
        self._algorithm = algorithm
        self._packed = packed
        self._objects = os.path.join(git.paths.common_dir, "objects")
        self._unsynced: list[str] = []
        self._named: list[str] = []  # of these the directories are not synced

    def write(self, objects: Sequence[Object], durable: bool, bases: pack.Bases | None = None) -> None:
        once = unique(objects)
        if len(once) >= PACK_FROM:  # without asking what is there: each miss makes git look through its packs again
            name = pack.install(self._git, once, self._algorithm, bases)
            ownpacks.add(self._git.paths.common_dir, [name])
            self._unsynced += [f"{self._objects}/pack/{name}{suffix}" for suffix in (".pack", ".idx")]
        else:
            self._loose([each for each in once if not self._known(each)], durable)
        if durable:
            loose.sync(self._unsynced)
            loose.flush(self._named)
            self._unsynced.clear()
            self._named.clear()

    def _known(self, found: Object) -> bool:
        fresh = loose.freshen(self._objects, found.oid)
        return self._packed(found) if fresh is None else fresh

    def _loose(self, objects: Sequence[Object], durable: bool) -> None:
        big = sum(len(each.data) >= BIG for each in objects)
        staged: list[loose.Staged] = []
        try:
            # zlib lets go of the interpreter: two threads use two cores, more would take them from the training
            workers.each(lambda found: staged.append(loose.stage(self._objects, found)), objects, 2 if big > 1 else 1)
            loose.place(staged, durable)
        except BaseException:
            loose.discard(staged)
            raise
        self._named += [path for _, path in staged]
        if not durable:
            self._unsynced += [path for _, path in staged]
