"""Several stores that hold the same: what is put goes to all, what is read comes from the first that has it right.

An object is there when one of them has it. A store that turns out to lack what another one has, or to have it damaged,
is given it while it is read; `git track store push` fills up what nobody reads. One that does not answer rests for some
minutes: otherwise every object would cost the time that it takes to find out that it still does not.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence

from gittrack import errors
from gittrack.store.base import Bytes, Entry, Store
from gittrack.store.verify import is_right

REST = 300.0  # seconds


class MirrorStore:
    """The order is that in which they are asked: nearest first."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.url = ", ".join(store.url for store in stores)
        self._stores = tuple(stores)
        self._resting: dict[int, tuple[float, errors.StoreFailed]] = {}  # number of a store -> until when, and why

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
        awake, failures = self._awake()
        lacking: list[Store] = []
        for number, store in awake:
            try:
                data = store.get(key)
            except (errors.MissingContent, errors.CorruptContent) as error:
                lacking.append(store)
                failures.append(error)
                continue
            except (errors.StoreFailed, errors.CannotWrite) as error:
                failures.append(self._failed(number, error))
                continue
            if is_right(key, data):
                _heal(lacking, key, data)
                return data
            lacking.append(store)
            failures.append(
                errors.CorruptContent(f"{key} in {store.url} is damaged", "git track store verify --repair")
            )
        raise _worst(failures, bool(lacking))

    def size(self, key: str) -> int | None:
        awake, failures = self._awake()
        answered = False
        for number, store in awake:
            try:
                found = store.size(key)
            except errors.StoreFailed as error:
                failures.append(self._failed(number, error))
                continue
            if found is not None:
                return found
            answered = True
        if failures:
            raise _worst(failures, answered)
        return None

    def _awake(self) -> tuple[list[tuple[int, Store]], list[errors.GittrackError]]:
        """The stores to ask, and why not the others. Where all rest, all are asked."""
        now = time.monotonic()
        resting = {number: why for number, (until, why) in self._resting.copy().items() if now < until}
        if len(resting) == len(self._stores):
            resting = {}
        awake = [(number, store) for number, store in enumerate(self._stores) if number not in resting]
        return awake, [errors.StoreFailed(why.message, why.hint) for why in resting.values()]

    def _failed(self, number: int, error: errors.GittrackError) -> errors.GittrackError:
        if isinstance(error, errors.StoreFailed) and error.passing:
            self._resting[number] = (time.monotonic() + REST, error)
        return error

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


def _worst(failures: "list[errors.GittrackError]", answered: bool) -> errors.GittrackError:
    """Damage before unreachable before missing: only when all say that it is missing, it is.

    `answered`: some store did, and has not got it.
    """
    for kind in (errors.CorruptContent, errors.StoreFailed, errors.CannotWrite):
        for failure in failures:
            if isinstance(failure, kind):
                if isinstance(failure, errors.StoreFailed):
                    failure.partly = answered
                return failure
    return failures[0]
