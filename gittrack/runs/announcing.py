"""What this clone needs in a store that others share: said there before anything is brought. See `store/leases.py`."""

from collections.abc import Mapping

from gittrack import errors
from gittrack.git.repository import Repository
from gittrack.runs import live, needs, writer
from gittrack.store import leases
from gittrack.store.base import Store
from gittrack.store.content import Content, chunk_key, list_key
from gittrack.store.local import open_local


def announce(repo: Repository, store: Store, files: Mapping[str, int]) -> None:
    """Say that this clone needs these files there: before they are brought, and before what is there is relied on."""
    leases.announce(store, writer.writer_id(repo.paths), _keys(open_local(live.track_dir(repo.paths)), files))


def keys_here(repo: Repository) -> set[str]:
    """The objects that the runs of this clone need."""
    return _keys(open_local(live.track_dir(repo.paths)), needs.of_clone(repo).digests)


def _keys(local: Content, files: Mapping[str, int]) -> set[str]:
    """Under which keys the files may be: as one chunk, or by the list that this clone has of them."""
    found = {key(sha256) for sha256 in files for key in (chunk_key, list_key)}
    for sha256, size in files.items():
        try:
            found.update(local.objects(sha256, size))
        except errors.MissingContent:  # only elsewhere: there its list says of what it is made
            continue
    return found
