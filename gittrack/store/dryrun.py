"""A store that changes nothing: what is put and deleted stays in memory, over what is really there."""

from collections.abc import Iterable, Iterator

from gittrack import errors
from gittrack.store.base import Bytes, Entry, Store
from gittrack.store.memory import MemoryStore


class DryRunStore:
    """`written` is what would have been put, `deleted` the keys that would be gone."""

    def __init__(self, store: Store) -> None:
        self.url = store.url
        self.written = MemoryStore()
        self.deleted: set[str] = set()
        self._store = store

    def put(self, key: str, data: Bytes) -> None:
        self.written.put(key, data)
        self.deleted.discard(key)

    def get(self, key: str) -> bytes:
        if key in self.deleted:
            raise errors.MissingContent(f"{key} is not in {self.url}", "it would have been deleted")
        if self.written.size(key) is not None:
            return self.written.get(key)
        return self._store.get(key)

    def size(self, key: str) -> int | None:
        if key in self.deleted:
            return None
        found = self.written.size(key)
        return self._store.size(key) if found is None else found

    def list(self, prefix: str) -> Iterator[Entry]:
        yield from self.written.list(prefix)
        for entry in self._store.list(prefix):
            if entry.key not in self.deleted and self.written.size(entry.key) is None:
                yield entry

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.written.delete((key,))
            if self._store.size(key) is not None:
                self.deleted.add(key)

    def flush(self) -> None:
        """Nothing is kept."""
