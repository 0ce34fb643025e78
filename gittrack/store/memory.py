"""A store in memory: `memory://`, for trying things out, and for tests."""

import time
from collections.abc import Iterable, Iterator

from gittrack import errors
from gittrack.store.base import Bytes, Entry


class MemoryStore:
    """Objects in a dict; gone with the process."""

    def __init__(self, name: str = "memory") -> None:
        self.url = f"memory://{name}"
        self._objects: dict[str, tuple[bytes, float]] = {}

    def put(self, key: str, data: Bytes) -> None:
        self._objects[key] = (bytes(data), time.time())

    def get(self, key: str) -> bytes:
        try:
            return self._objects[key][0]
        except KeyError:
            raise errors.MissingContent(f"{key} is not in {self.url}", "put it there first") from None

    def size(self, key: str) -> int | None:
        found = self._objects.get(key)
        return None if found is None else len(found[0])

    def list(self, prefix: str) -> Iterator[Entry]:
        for key, (data, modified) in list(self._objects.items()):
            if key.startswith(prefix):
                yield Entry(key, len(data), modified)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._objects.pop(key, None)

    def flush(self) -> None:
        """What is in memory survives nothing; there is nothing to wait for."""
