"""Who needs what in a store that several clones share, and how storing and cleaning up keep out of each other's way.

    needs/<clone>/<sha256>.json     objects that a clone needs, said before it brings them
    condemned/<ms>.json             objects that nobody needed then; to be removed later, if that is still so
    sweeping/<random>.json          somebody is removing, until a time

A writer first says what it needs and then looks whether somebody is sweeping; a sweeper first says that it sweeps and
then looks what is needed. So either the sweeper knows of the need, or the writer waits until it has done, looks what
is left and puts the rest. No clock decides but for the dead: a sweeper that has not finished by the time it gave stops.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.store.base import Store

NEEDS, CONDEMNED, SWEEPING = "needs/", "condemned/", "sweeping/"
LEASE = 600.0  # seconds for one sweep
SLACK = 300.0  # by how much clocks may differ
_PAUSE = 0.5


class Condemned(NamedTuple):
    """What was to be removed, and when that was said, by the clock of who said it."""

    key: str
    when: float
    keys: frozenset[str]


def announce(store: Store, clone: str, keys: Iterable[str], sleep: Callable[[float], None] = time.sleep) -> None:
    """Say that `clone` needs these objects, before those that are there are relied on. Waits while somebody sweeps."""
    name, data = _said(clone, keys)
    if store.size(name) != len(data):
        store.put(name, data)
        store.flush()
    while _sweepers(store):
        sleep(_PAUSE)


def announced(store: Store) -> dict[str, set[str]]:
    """Clone -> the objects that it said it needs. Raises StoreFailed for what cannot be read."""
    found: dict[str, set[str]] = {}
    for name in sorted(entry.key for entry in store.list(NEEDS)):
        try:
            keys = said(store, name)
        except errors.MissingContent:  # said anew by its clone
            continue
        found.setdefault(name.split("/")[1], set()).update(keys)
    return found


def said(store: Store, name: str) -> set[str]:
    """The objects that one announcement names. Raises MissingContent, StoreFailed."""
    return set(map(str, _document(store, name)["keys"]))


def own(store: Store, clone: str) -> list[str]:
    """The keys under which `clone` has said what it needs."""
    return [entry.key for entry in store.list(f"{NEEDS}{clone}/")]


def say_anew(store: Store, clone: str, keys: Iterable[str], before: Iterable[str]) -> None:
    """Replace what was said `before` anybody asked what the clone needs by all that it needs."""
    name, data = _said(clone, keys)
    store.put(name, data)
    store.flush()
    store.delete([old for old in before if old != name])


def condemn(store: Store, keys: Collection[str], now: float) -> None:
    if keys:
        data = json.dumps({"keys": sorted(keys), "w": now}, separators=(",", ":")).encode()
        store.put(f"{CONDEMNED}{int(now * 1000):013d}.json", data)
        store.flush()


def condemned(store: Store) -> list[Condemned]:
    """What was condemned so far, the oldest first."""
    found = []
    for key in sorted(entry.key for entry in store.list(CONDEMNED)):
        try:
            said = _document(store, key)
            found.append(Condemned(key, float(said["w"]), frozenset(map(str, said["keys"]))))
        except errors.MissingContent:  # swept meanwhile
            continue
    return found


@contextmanager
def sweeping(store: Store) -> Iterator[Callable[[], None]]:
    """Sweep; gives what has to be called before each removal. Raises StoreFailed when another sweeps already."""
    mine, until = f"{SWEEPING}{secrets.token_hex(8)}.json", time.time() + LEASE
    store.put(mine, json.dumps({"until": until}).encode())
    store.flush()
    if _sweepers(store) != [mine]:
        store.delete([mine])
        raise errors.StoreFailed(f"somebody is cleaning up {store.url}", "run the command again in some minutes")

    def check() -> None:
        if time.time() > until:
            raise errors.StoreFailed(
                f"cleaning up {store.url} took too long and was stopped", "run it again: it goes on where it was"
            )

    try:
        yield check
    finally:
        store.delete([mine])


def _said(clone: str, keys: Iterable[str]) -> tuple[str, bytes]:
    data = json.dumps({"keys": sorted(set(keys))}, separators=(",", ":")).encode()
    return f"{NEEDS}{clone}/{hashlib.sha256(data).hexdigest()}.json", data


def _sweepers(store: Store) -> list[str]:
    """Who sweeps, and may still be alive. What the dead have left is removed."""
    found = []
    for key in sorted(entry.key for entry in store.list(SWEEPING)):
        try:
            until = float(_document(store, key)["until"])
        except errors.MissingContent:  # done
            continue
        if time.time() < until + SLACK:
            found.append(key)
        else:
            store.delete([key])
    return found


def _document(store: Store, key: str) -> Any:
    try:
        found = json.loads(store.get(key))
    except ValueError as error:
        raise errors.StoreFailed(f"{key} of {store.url} cannot be read: {error}", "nothing is removed") from error
    if not isinstance(found, dict):
        raise errors.StoreFailed(f"{key} of {store.url} is no JSON object", "nothing is removed")
    return found
