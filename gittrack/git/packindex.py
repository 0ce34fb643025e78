"""Which objects a pack has, from its index: a table of sorted oids, read where it lies. And git's commit-graph, too."""

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Collection, Iterator
from itertools import pairwise

_HEAD = b"\xfftOc\0\0\0\2"
_FAN = 8 + 256 * 4
_LARGE = 2**31
_SEARCH = 20  # objects that are read while one is searched for


class PackIndex:
    """One `.idx` file of version 2, which is what git writes. Raises ValueError for any other."""

    def __init__(self, path: str, algorithm: str) -> None:
        self._width = 32 if algorithm == "sha256" else 20
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < _FAN:
                raise ValueError(f"{path} is no index of a pack")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._map[:8] != _HEAD:
            self._map.close()
            raise ValueError(f"{path} is an index of another version")
        self.count: int = struct.unpack(">L", self._map[_FAN - 4 : _FAN])[0]

    def __enter__(self) -> "PackIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def oids(self) -> Iterator[str]:
        return (self._at(number).hex() for number in range(self.count))

    def in_order(self) -> Iterator[str]:
        """All of them as they lie in the pack."""
        start = _FAN + self.count * (self._width + 4)
        offsets = struct.unpack(f">{self.count}L", self._map[start : start + 4 * self.count])
        large = start + 4 * self.count  # 2 GiB and more: an entry here, whose number stands there

        def offset(number: int) -> int:
            found: int = offsets[number]
            if found < _LARGE:
                return found
            at = large + 8 * (found - _LARGE)
            return int.from_bytes(self._map[at : at + 8], "big")

        return (self._at(number).hex() for number in sorted(range(self.count), key=offset))

    def among(self, oids: Collection[str]) -> set[str]:
        """Those of `oids` that the pack has."""
        if len(oids) * _SEARCH < self.count:
            return {oid for oid in oids if self._has(bytes.fromhex(oid))}
        wanted = {bytes.fromhex(oid) for oid in oids}
        return {oid.hex() for number in range(self.count) if (oid := self._at(number)) in wanted}

    def _has(self, oid: bytes) -> bool:
        place = bisect_left(range(self.count), oid, key=self._at)
        return place < self.count and self._at(place) == oid

    def _at(self, number: int) -> bytes:
        start = _FAN + number * self._width
        return self._map[start : start + self._width]


def graph_has(path: str, oids: Collection[str]) -> bool:
    """Whether a file of git's commit-graph names one of the commits; a file that cannot be understood may."""
    wanted = {bytes.fromhex(oid) for oid in oids}
    with open(path, "rb") as file:
        head = file.read(8 + 12 * 256)
        width = {1: 20, 2: 32}.get(head[5]) if head[:5] == b"CGPH\1" else None
        chunks = [head[at : at + 12] for at in range(8, 8 + 12 * (head[6] + 1), 12)] if width else []
        for chunk, after in pairwise(chunks):
            if chunk[:4] == b"OIDL" and width:
                file.seek(int.from_bytes(chunk[4:], "big"))
                size = int.from_bytes(after[4:], "big") - int.from_bytes(chunk[4:], "big")
                data = file.read(size)
                return any(data[at : at + width] in wanted for at in range(0, size, width))
    return True
