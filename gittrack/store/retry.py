"""Trying again what may pass: a store that retries another one's failures.

Waits grow by the factor two and are drawn at random below that bound, so that many clients which were turned away
together do not come back together. Only what is marked as passing is tried again, and bytes that came damaged: a
damaged copy at the store stays damaged, one in a broken line does not.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from gittrack import errors
from gittrack.store.base import Bytes, Entry, Store

_Answer = TypeVar("_Answer")
_DAMAGED = 3  # tries for bytes that are not what they should be


class Patience(NamedTuple):
    attempts: int = 7
    first: float = 0.2  # seconds: bound of the first wait
    longest: float = 15.0


class RetryStore:
    """Every call is one that may be made twice: that is a promise of `Store`."""

    def __init__(self, store: Store, patience: Patience | None = None) -> None:
        self.url = store.url
        self._store = store
        self._patience = patience or Patience()
        self._random = random.Random()

    def put(self, key: str, data: Bytes) -> None:
        self._try(lambda: self._store.put(key, data))

    def get(self, key: str) -> bytes:
        return self._try(lambda: self._store.get(key))

    def size(self, key: str) -> int | None:
        return self._try(lambda: self._store.size(key))

    def list(self, prefix: str) -> Iterator[Entry]:
        # All of it before the first is given: a listing that breaks off in the middle must be begun again.
        yield from self._try(lambda: [*self._store.list(prefix)])

    def delete(self, keys: Iterable[str]) -> None:
        known = [*keys]
        self._try(lambda: self._store.delete(known))

    def flush(self) -> None:
        self._try(self._store.flush)

    def _try(self, call: Callable[[], _Answer]) -> _Answer:
        tried = damaged = 0
        while True:
            tried += 1
            try:
                return call()
            except errors.StoreFailed as error:
                if not error.passing or tried >= self._patience.attempts:
                    raise
            except errors.CorruptContent:
                damaged += 1
                if damaged >= _DAMAGED or tried >= self._patience.attempts:
                    raise
            bound = min(self._patience.longest, self._patience.first * 2 ** (tried - 1))
            time.sleep(self._random.uniform(bound / 4, bound))
