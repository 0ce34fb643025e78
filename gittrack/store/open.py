"""From the address of a store to a store that retries, checks and keeps to its share of the line."""

from collections.abc import Mapping

from gittrack import errors
from gittrack.lazy import lazy
from gittrack.store import address
from gittrack.store.base import Store
from gittrack.store.directory import DirectoryStore
from gittrack.store.limit import LimitStore
from gittrack.store.memory import MemoryStore
from gittrack.store.retry import Patience, RetryStore
from gittrack.store.verify import VerifyStore

_memory: dict[str, MemoryStore] = {}  # one per name: they have nothing else to be found by


def open_store(
    url: str,
    environ: Mapping[str, str],
    upload_rate: int | None = None,
    patience: Patience | None = None,
    timeout: float = 60.0,
) -> Store:
    """The store at `url`. Asks nothing of it yet. Raises StoreFailed for an address that is none."""
    store = _bare(address.parse(url), environ, timeout)
    if upload_rate:
        store = LimitStore(store, upload_rate)
    return RetryStore(VerifyStore(store), patience)


def create(url: str, environ: Mapping[str, str]) -> None:
    """Make the bucket of a store; fine when it is there."""
    place = address.parse(url)
    if place.scheme not in ("file", "memory"):
        lazy("gittrack.store.remote").RemoteStore(place, environ).create()


def _bare(place: address.Address, environ: Mapping[str, str], timeout: float) -> Store:
    if place.scheme == "file":
        return DirectoryStore(place.bucket)
    if place.scheme == "memory":
        return _memory.setdefault(place.bucket, MemoryStore(place.bucket))
    try:
        remote = lazy("gittrack.store.remote")
    except ImportError as error:
        raise errors.StoreFailed(
            f"{place.url} needs the library obstore, which cannot be loaded: {error}", "pip install --upgrade gittrack"
        ) from error
    store: Store = remote.RemoteStore(place, environ, timeout)
    return store
