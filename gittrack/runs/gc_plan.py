"""What may be removed from a store, decided without touching it. Pure.

An object goes when nobody needs it and it is older than the horizon. Whoever relies on an object that is there makes it
new first, so what is being stored now is on this side of the horizon, whether it was there before or not.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from gittrack.errors import UsageError
from gittrack.store.base import Entry
from gittrack.store.content import CHUNKS, FILES

GRACE = 14 * 86400.0  # longer than any push


class Plan(NamedTuple):
    """`sweep`: key -> size of what to remove, lists before the chunks that they name; sizes in bytes."""

    sweep: Mapping[str, int]
    needed: int
    young: int  # objects that nobody needs, but too new to be sure
    young_size: int

    @property
    def freed(self) -> int:
        return sum(self.sweep.values())

    def only(self, keys: Collection[str]) -> "Plan":
        """What both this plan and an earlier one sweep."""
        return self._replace(sweep={key: size for key, size in self.sweep.items() if key in keys})


def seconds(text: str) -> float:
    """A grace period: `14d`, `12h`, `30m`, `0`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})([smhdw]?)", text.strip())
    if not match or (match[1].strip("0") and not match[2]):
        raise UsageError(f"{text[:40]!r} is no time", "write --grace 14d, 12h, or 0")
    return int(match[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}[match[2]]


def horizon(now: float, grace: float, since: float | None) -> float:
    """Objects older than this moment may go: the grace period, and whatever is being stored at the moment."""
    return min(now - grace, now if since is None else since)


def local(objects: Iterable[Entry], needed: Collection[str], before: float) -> Plan:
    """For a store that one clone has for itself. `needed`: keys."""
    sweep: dict[str, int] = {}
    kept = young = young_size = 0
    for one in _ours(objects):
        if one.key in needed:
            kept += one.size
        elif one.modified < before:
            sweep[one.key] = one.size
        else:
            young += 1
            young_size += one.size
    return Plan(dict(sorted(sweep.items(), reverse=True)), kept, young, young_size)


def _ours(objects: Iterable[Entry]) -> Iterator[Entry]:
    return (one for one in objects if one.key.startswith((CHUNKS, FILES)))


class Shared(NamedTuple):
    """For a store that several clones share: `condemn` what nobody needs, now; `sweep` what was condemned long ago and
    is still not needed."""

    sweep: Mapping[str, int]
    condemn: Mapping[str, int]
    waiting: int  # bytes that are condemned, and not for long enough
    needed: int


def shared(
    objects: Iterable[Entry],
    needed: Collection[str],
    condemned: Iterable[tuple[float, Collection[str]]],
    before: float,
) -> Shared:
    """`condemned`: when, and which keys. What was put again since is not what was condemned."""
    since: dict[str, float] = {}
    for when, keys in condemned:
        for key in keys:
            since[key] = min(when, since.get(key, when))
    sweep: dict[str, int] = {}
    fresh: dict[str, int] = {}
    waiting = kept = 0
    for one in _ours(objects):
        if one.key in needed:
            kept += one.size
        elif one.key not in since or one.modified > since[one.key]:
            fresh[one.key] = one.size
        elif since[one.key] < before:
            sweep[one.key] = one.size
        else:
            waiting += one.size
    return Shared(dict(sorted(sweep.items(), reverse=True)), fresh, waiting, kept)
