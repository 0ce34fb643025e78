"""Which objects a pack has, from its index: a table of sorted oids, read where it lies."""

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Collection, Iterator

_HEAD = b"\xfftOc\0\0\0\2"
_FAN = 8 + 256 * 4


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

    def among(self, oids: Collection[str]) -> set[str]:
        """Those of `oids` that the pack has."""
        return {oid for oid in oids if self._has(bytes.fromhex(oid))}

    def _has(self, oid: bytes) -> bool:
        place = bisect_left(range(self.count), oid, key=self._at)
        return place < self.count and self._at(place) == oid

    def _at(self, number: int) -> bytes:
        start = _FAN + number * self._width
        return self._map[start : start + self._width]
