"""Objects that are really gone: from the disk at once, out of packs as well, and without git's two weeks of grace.

What is going to be removed is written down before. Who is killed in between leaves that note, and the next call goes
on with it: whichever objects are gone by then, the others are still named.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from gittrack import errors
from gittrack.git import catfile, maintenance, notes, ownpacks, repacking, unreached
from gittrack.git.repository import Repository
from gittrack.git.unreached import Marked

_PATIENCE = 60.0  # seconds
NOTE = "erasing"  # in <common dir>/track: the oids that are to go, one a line


class Erased(NamedTuple):
    """`objects`: removed; `freed`: bytes on the disk; `held`: what something else needs, too; `left`: what lies
    in another repository, whose objects this one uses, or what somebody was just about to use."""

    objects: int = 0
    freed: int = 0
    held: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


def is_unfinished(common: str) -> bool:
    """Whether a call was killed, and has to be made again."""
    return os.path.exists(notes.path(common, NOTE))


def erase(repo: Repository, marked: Marked, names: Collection[str], wait: float = 0.0) -> Erased:
    """Remove the unreached commits that are `marked`, what hangs below entries of trees called by one of `names`, and
    what only these reach. The refs that held them must be gone before. `wait`: seconds in which whoever has just
    written an object comes to name it by a ref; what is used later is seen to be.

    Raises RefConflict while a gc runs; GitFailed, DamagedRecord where it cannot be known what is needed, and then
    nothing was removed; CannotWrite.
    """
    common = repo.paths.common_dir
    if maintenance.gc_is_running(common):
        raise errors.RefConflict("git gc is running, and nothing is removed meanwhile", "run the command again later")
    with _turn(common):
        ownpacks.remove_superseded(common)
        begun = time.time_ns()
        time.sleep(wait)
        going, held = unreached.doomed(repo.git, repo.algorithm, marked, names, notes.read(common, NOTE))
        if not going and not is_unfinished(common):
            return Erased(held=held)
        notes.write(common, NOTE, going)
        freed = repacking.without(repo.git, going, repo.algorithm, begun)
        order = list(going)
        there = zip(order, catfile.measured(repo.git, order), strict=True)
        left = frozenset(oid for oid, found in there if found is not None)
        if not left or is_borrowing(common):
            notes.remove(common, NOTE)
    return Erased(len(going) - len(left), freed, held, left)


@contextlib.contextmanager
def _turn(common: str) -> Iterator[None]:
    """Nobody packs our objects meanwhile: after a run that takes seconds, so it is waited for."""
    until = time.monotonic() + _PATIENCE
    while True:
        with maintenance.alone(common) as file:
            if file is not None:
                yield
                return
        if time.monotonic() > until:
            raise errors.RefConflict(
                "objects are being packed, and nothing is removed meanwhile", "run the command again later"
            )
        time.sleep(0.05)


def is_borrowing(common: str) -> bool:
    """Whether the repository uses the objects of another one, where nothing is removed."""
    return os.path.exists(os.path.join(common, "objects", "info", "alternates"))
