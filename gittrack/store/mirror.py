"""Several stores that hold the same: what is put goes to all, what is read comes from the first that has it right.

An object is there when one of them has it. A store that turns out to lack what another one has, or to have it damaged,
is given it while it is read; `git track store push` fills up what nobody reads.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from gittrack import errors
from gittrack.store.base import Bytes, Entry, Store
from gittrack.store.verify import is_right


class MirrorStore:
    """The order is that in which they are asked: nearest first."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.url = ", ".join(store.url for store in stores)
        self._stores = tuple(stores)

    def put(self, key: str, data: Bytes) -> None:
        """All are tried, whichever fails; then the first failure is raised."""
        failures = []
        for store in self._stores:
            try:
                store.put(key, data)
            except errors.GittrackError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def get(self, key: str) -> bytes:
        lacking: list[Store] = []
        failures: list[errors.GittrackError] = []
        for store in self._stores:
            try:
                data = store.get(key)
            except (errors.MissingContent, errors.CorruptContent) as error:
                lacking.append(store)
                failures.append(error)
                continue
            except (errors.StoreFailed, errors.CannotWrite) as error:
                failures.append(error)
                continue
            if is_right(key, data):
                _heal(lacking, key, data)
                return data
            lacking.append(store)
            failures.append(
                errors.CorruptContent(f"{key} in {store.url} is damaged", "git track store verify --repair")
            )
        raise _worst(failures)

    def size(self, key: str) -> int | None:
        failures: list[errors.GittrackError] = []
        for store in self._stores:
            try:
                found = store.size(key)
            except errors.StoreFailed as error:
                failures.append(error)
                continue
            if found is not None:
                return found
        if failures:
            raise failures[0]
        return None

    def list(self, prefix: str) -> Iterator[Entry]:
        seen: set[str] = set()
        for store in self._stores:
            for entry in store.list(prefix):
                if entry.key not in seen:
                    seen.add(entry.key)
                    yield entry

    def delete(self, keys: Iterable[str]) -> None:
        known = [*keys]
        for store in self._stores:
            store.delete(known)

    def flush(self) -> None:
        for store in self._stores:
            store.flush()


def _heal(stores: "list[Store]", key: str, data: bytes) -> None:
    for store in stores:
        with contextlib.suppress(errors.GittrackError):  # read-only or gone: the reader has its bytes all the same
            store.put(key, data)


def _worst(failures: "list[errors.GittrackError]") -> errors.GittrackError:
    """Damage before unreachable before missing: only when all say that it is missing, it is."""
    for kind in (errors.CorruptContent, errors.StoreFailed, errors.CannotWrite):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return failures[0]
