"""Frees what no run needs from the store of this clone.

Storing holds a shared lock for as long as it takes to put one file; collecting holds it alone, from the moment in which
it asks what is needed until it has deleted. So a file is put either before, and then it is needed or new, or
after, and then it is looked for after it was deleted.
"""

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from gittrack import errors
from gittrack.git.repository import Repository
from gittrack.runs import gc_plan, live, needs
from gittrack.runs.own_store import own_store
from gittrack.store import local
from gittrack.store.base import Entry, Store
from gittrack.store.content import CHUNKS, FILES, Content

_PATIENCE = 60.0  # seconds to wait for a file that is being stored


def plan(
    repo: Repository,
    now: float,
    grace: float = gc_plan.GRACE,
    going: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> gc_plan.Plan:
    """What would go now, if the parcels `going` (by run) were let go. Raises what `needs.of_clone` raises."""
    content = own_store(repo.paths)
    needed = needs.of_clone(repo, going)
    keys = keys_of(content, needed.digests)
    return gc_plan.local(objects(content.store), keys, gc_plan.horizon(now, grace, needed.since))


def sweep(repo: Repository, agreed: gc_plan.Plan, now: float, grace: float = gc_plan.GRACE) -> gc_plan.Plan:
    """Remove what was agreed on and still may go. Returns what was removed."""
    with alone(repo):
        found = plan(repo, now, grace).only(agreed.sweep)
        own_store(repo.paths).store.delete(found.sweep)
    return found


def objects(store: Store) -> Iterator[Entry]:
    """All chunks and lists of a store."""
    for prefix in (CHUNKS, FILES):
        yield from store.list(prefix)


def keys_of(content: Content, digests: Iterable[str]) -> set[str]:
    """The keys that these files need, as far as they are in the store.

    Raises CorruptContent for a list that cannot be read: what it named would be lost.
    """
    return {key for sha256 in digests for key in content.named(sha256)}


@contextmanager
def alone(repo: Repository) -> Iterator[None]:
    path = local.lock_path(live.track_dir(repo.paths))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise errors.RefConflict(
                        "files are being stored, and nothing is removed meanwhile", "run the command again later"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(file)
