"""What wrappers of a store begin with: each call goes to the store inside, until one says otherwise."""

from collections.abc import Iterable, Iterator

from gittrack.store.base import Bytes, Entry, Store


class WrapperStore:
    def __init__(self, store: Store) -> None:
        self.url = store.url
        self._store = store

    def put(self, key: str, data: Bytes) -> None:
        self._store.put(key, data)

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def size(self, key: str) -> int | None:
        return self._store.size(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._store.list(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        self._store.delete(keys)

    def flush(self) -> None:
        self._store.flush()
