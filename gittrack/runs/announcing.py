"""What this clone needs in a store that others share: said there before anything is brought. See `store/leases.py`."""

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator

from gittrack.git.repository import Repository
from gittrack.runs import live, needs, writer
from gittrack.runs.own_store import own_store
from gittrack.store import leases
from gittrack.store.base import Store
from gittrack.store.content import Content, chunk_key, list_key


def announce(repo: Repository, store: Store, files: Collection[str]) -> None:
    """Say that this clone needs these files there: before they are brought, and before what is there is relied on."""
    keys = _keys(own_store(repo.paths), files)
    with _alone(repo):
        leases.announce(store, writer.writer_id(repo.paths), keys)


def say_anew(repo: Repository, store: Store) -> set[str]:
    """Replace all that this clone has announced by what it needs now, and return that."""
    clone = writer.writer_id(repo.paths)
    with _alone(repo):
        before = leases.own(store, clone)
        mine = keys_here(repo)
        leases.say_anew(store, clone, mine, before)
    return mine


def keys_here(repo: Repository) -> set[str]:
    """The objects that the runs of this clone need."""
    return _keys(own_store(repo.paths), needs.of_clone(repo).digests)


def _keys(local: Content, digests: Collection[str]) -> set[str]:
    """Under which keys the files may be: as one chunk, or by the list that this clone has of them. Of a file that is
    only elsewhere, the list that is there says of what it is made."""
    found = {key(sha256) for sha256 in digests for key in (chunk_key, list_key)}
    return found.union(*(local.named(sha256) for sha256 in digests))


@contextlib.contextmanager
def _alone(repo: Repository) -> Iterator[None]:
    """What is announced again is not taken away at the same moment as no longer needed."""
    file = os.open(os.path.join(live.track_dir(repo.paths), "needs.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
