"""What a store is: bytes under keys. The promises that every backend and wrapper keeps; `tests/store` holds them to it.

A backend writes only what is peculiar to it; retrying, limiting, verifying and mirroring are wrappers that are stores
themselves. Keys are `/`-separated ASCII; what lies under which key is the business of `content`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

Bytes = bytes | bytearray | memoryview


class Entry(NamedTuple):
    """One object of a listing."""

    key: str
    size: int
    modified: float  # seconds since the epoch, by the store's clock


class Store(Protocol):
    """All methods may be called from several threads at once. They raise StoreFailed when the store cannot be reached
    or refuses, CannotWrite when a local one is full or read-only."""

    url: str  # for messages: never holds credentials

    def put(self, key: str, data: Bytes) -> None:
        """Keep `data`: a reader sees all of it or nothing. Replaces what is there."""

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises MissingContent."""

    def size(self, key: str) -> int | None:
        """Size in bytes; None when there is no such object."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with `prefix`, in no order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; what is not there is fine."""

    def flush(self) -> None:
        """Return when all that was put would survive a power cut."""
