"""The files that git-lfs keeps in a store (`lfs_agent`): which they are, and bringing them to another store.

No run names them and no list has all commits that need them, so the store itself says: for each of them `needs/` holds
the objects that it is made of.
"""

from collections.abc import Sequence

from gittrack import errors
from gittrack.runs import stores
from gittrack.store import chunklist, leases
from gittrack.store.content import CHUNKS, FILES, Content
from gittrack.store.transfer import File, Report

NEEDED_BY = "git-lfs"  # in a store's `needs/`, as if it were a clone: one that never says that it needs less


def of_store(content: Content) -> list[File]:
    """Those that are there. Raises StoreFailed, CorruptContent."""
    return [file for name in leases.own(content.store, NEEDED_BY) if (file := _file(content, name))]


def copy(sources: Sequence[Content], target: Content, workers: int) -> Report:
    """Bring those of all sources to the target, which is told first that it is to keep them."""
    found = {file: source for source in sources for file in of_store(source)}
    for file, source in found.items():
        leases.announce(target.store, NEEDED_BY, source.objects(*file))
    return stores.send(sources, target, [*found], workers)


def _file(content: Content, name: str) -> File | None:
    """None for what was said and never came."""
    keys = leases.said(content.store, name)
    key = next((key for key in keys if key.startswith(FILES)), None)
    try:
        if key is not None:
            sha256 = key.rpartition("/")[2]
            chunks = chunklist.decode(content.store.get(key), sha256, None)
            return File(sha256, sum(chunk.size for chunk in chunks))
    except errors.MissingContent:
        return None
    key = next((key for key in keys if key.startswith(CHUNKS)), "")
    size = content.store.size(key) if len(keys) == 1 else None
    return None if size is None else File(key.rpartition("/")[2], size)
