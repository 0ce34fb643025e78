"""Frees what no clone needs from a store that they share, in two calls two weeks apart.

The first says which objects nobody needs (`condemned/`), the second, when the grace period is over, removes those that
still nobody does. Needs are those of this clone and all that others have announced in the store (`store/leases.py`):
runs that were never pushed are among them, and a file whose upload has just begun.
"""

from collections.abc import Iterator

from gittrack.git.repository import Repository
from gittrack.runs import announcing, gc, gc_plan, stores, writer
from gittrack.store import chunklist, leases
from gittrack.store.base import Entry, Store
from gittrack.store.content import FILES, chunk_key

_BATCH = 500


def plan(repo: Repository, store: Store, now: float, grace: float = gc_plan.GRACE) -> gc_plan.Shared:
    """What would be condemned and swept now. Raises StoreFailed where the store is not this repository's alone."""
    stores.may_collect(repo, store)
    said = {clone: keys for clone, keys in leases.announced(store).items() if clone != writer.writer_id(repo.paths)}
    return _plan(store, announcing.keys_here(repo).union(*said.values()), now, grace)


def collect(repo: Repository, store: Store, now: float, grace: float = gc_plan.GRACE) -> gc_plan.Shared:
    """Sweep what is due, and condemn what nobody needs. Returns what was done."""
    stores.may_collect(repo, store)
    mine = announcing.say_anew(repo, store)
    first = _plan(store, mine.union(*leases.announced(store).values()), now, grace)
    if first.sweep:
        with leases.sweeping(store) as check:
            due = [one.key for one in leases.condemned(store) if one.when < now - grace]
            mine = announcing.keys_here(repo)
            first = _plan(store, mine.union(*leases.announced(store).values()), now, grace)
            for at in range(0, len(keys := list(first.sweep)), _BATCH):
                check()
                store.delete(keys[at : at + _BATCH])
            check()
            store.delete(due)
    leases.condemn(store, list(first.condemn), now)
    return first


def _plan(store: Store, needed: set[str], now: float, grace: float) -> gc_plan.Shared:
    objects = list(gc.objects(store))
    needed = needed.union(_listed(store, objects, needed))
    condemned = [(one.when, one.keys) for one in leases.condemned(store)]
    return gc_plan.shared(objects, needed, condemned, now - grace)


def _listed(store: Store, objects: list[Entry], needed: set[str]) -> Iterator[str]:
    """The chunks of the needed files, as the store's own lists have them."""
    for entry in objects:
        if entry.key.startswith(FILES) and entry.key in needed:
            sha256 = entry.key.rpartition("/")[2]
            for chunk in chunklist.decode(store.get(entry.key), sha256, None):
                yield chunk_key(chunk.sha256)
