"""Which packs are ours: a list in track/packs, since nothing in a pack tells who made it.

A pack of ours that is missing from the list is treated like the user's: left alone. A listed one that is gone was
merged by the user's gc, and is forgotten.
"""

import contextlib
import fcntl
import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git import trackdir

EACH = 8  # a power of two
_LINE = re.compile(r"pack-[0-9a-f]{40,64}(?: in pack-[0-9a-f]{40,64})?")
_SUFFIXES = (".idx", ".rev", ".bitmap", ".pack")  # without an index git does not look at the pack any more


class OwnPack(NamedTuple):
    name: str  # pack-<hash>
    path: str  # without suffix
    size: int  # number of objects


def add(common: str, names: Iterable[str]) -> None:
    """These packs were made by us."""
    with contextlib.suppress(errors.CannotWrite):  # a list that cannot be written costs a merge, not a record
        _edit(common, lambda lines: [*lines, *names])


def of(common: str) -> list[OwnPack]:
    """Our packs that are still there, superseded ones excepted; the smallest first."""
    found = []
    for line in _read(common):
        words = line.split()
        if len(words) == 1:
            path = f"{common}/objects/pack/{words[0]}"
            with contextlib.suppress(OSError, struct.error):
                found.append(OwnPack(words[0], path, count(path)))
    return sorted(found, key=lambda pack: pack.size)


def to_merge(packs: Sequence[OwnPack]) -> list[OwnPack]:
    """The smallest ones (`packs` begins with them), up to the last of which there are EACH of one order of magnitude.

    To the base EACH: every object is rewritten once for each order that the whole has grown by, and packs remain in
    the tens. Merging sooner would leave fewer of them, and make a long run cost the more the longer it is.
    """
    alike: Counter[int] = Counter()
    split = total = seen = 0
    for number, pack in enumerate(packs, 1):
        order = _order(pack.size)
        alike[order] += 1
        seen += pack.size
        if alike[order] + (_order(total) == order) >= EACH:  # what is merged becomes one pack more
            split, total = number, seen
    return list(packs[:split])


def _order(size: int) -> int:
    return (size.bit_length() - 1) // (EACH.bit_length() - 1)


def replace(common: str, old: Sequence[OwnPack], new: Sequence[str]) -> None:
    """The objects of `old` are in `new` now: the next call of remove_superseded may remove them."""
    gone = {pack.name for pack in old} - set(new)
    superseded = [f"{name} in {new[0]}" for name in sorted(gone)] if len(new) == 1 else []
    _edit(common, lambda lines: [*(line for line in lines if line not in gone or not superseded), *new, *superseded])


def rename(common: str, old: str, new: str) -> None:
    """What is left of one of our packs is in `new` now. Nothing is done about a pack that is not ours."""
    if any(line.split()[0] == old for line in _read(common)):
        _edit(common, lambda lines: [*(line for line in lines if line.split()[0] != old), new])


def remove_superseded(common: str) -> int:
    """Remove what an earlier call has replaced, if the replacement is still there."""
    gone = [line.split() for line in _read(common) if " in " in line]
    removed = 0
    for name, _, kept in gone:
        path = f"{common}/objects/pack/"
        if os.path.exists(f"{path}{kept}.pack") and os.path.exists(f"{path}{kept}.idx"):
            removed += _remove(path + name)
    if gone:
        names = {words[0] for words in gone}
        _edit(common, lambda lines: [line for line in lines if line.split()[0] not in names])
    return removed


def _remove(path: str) -> bool:
    if os.path.exists(path + ".keep"):  # somebody wants it
        return False
    existed = os.path.exists(path + ".pack")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)
    return existed


def count(path: str) -> int:
    """The number of objects: the last entry of the fan-out table of an index, version 2. Raises OSError."""
    with open(path + ".idx", "rb") as file:
        return int(struct.unpack(">L", file.read(1032)[1028:])[0])


def _read(common: str) -> list[str]:
    try:
        with open(f"{common}/track/packs", "rb") as file:
            return _lines(file.read())
    except FileNotFoundError:
        return []


def _lines(data: bytes) -> list[str]:
    """Those that name packs: the name of a pack can do no harm as a path."""
    return [line for line in data.decode("ascii", "replace").split("\n") if _LINE.fullmatch(line)]


def _edit(common: str, change: Callable[[list[str]], list[str]]) -> None:
    """One read, change and write in place: who is killed in the middle leaves lines that are no packs."""
    with os.fdopen(trackdir.open_file(common, "packs"), "r+b") as file:
        with contextlib.suppress(OSError):  # no flock here: a lost line costs a merge
            fcntl.flock(file, fcntl.LOCK_EX)
        lines = dict.fromkeys(change(_lines(file.read())))
        file.seek(0)
        file.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        file.truncate()
        file.flush()
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
