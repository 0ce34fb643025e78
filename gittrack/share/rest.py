"""What was purged, laid to rest where it is met: in this clone, and at the remote to which an old clone brought it."""

from collections.abc import Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.core.annotations import Tombstones
from gittrack.git import network
from gittrack.git.repository import Repository
from gittrack.runs import archives, burial, logs
from gittrack.runs.annotations import Author
from gittrack.runs.burial import Buried
from gittrack.share import cleaning

# Who may only read, say: whoever comes next does it.
_LATER = (errors.RemoteFailed, errors.RefConflict, errors.DamagedRecord, errors.NewerFormat)


class Rest(NamedTuple):
    """`removed`: refs that were removed there, or written anew; `problem`: why some are still there."""

    removed: tuple[str, ...] = ()
    problem: str = ""


def here(repo: Repository, author: Author, graves: Tombstones | None = None) -> Buried:
    """Remove from this clone what somebody has purged. A failure is left to the next call, and to `git track purge`."""
    graves = logs.tombstones(repo) if graves is None else graves
    if not burial.is_due(repo, graves):
        return Buried()
    try:
        return burial.bury(repo, graves, author)
    except (errors.RefConflict, errors.DamagedRecord, errors.GitFailed) as error:
        return Buried(unsure=f"{error.message}; `git track pull` tries again")


def there(
    repo: Repository,
    name: str,
    refs: Mapping[str, str],
    graves: Tombstones | None = None,
    progress: network.Progress | None = None,
) -> Rest:
    """Remove from a remote that has `refs` what is purged. Of archives those are looked at whose lists are not here."""
    graves = logs.tombstones(repo) if graves is None else graves
    if not graves.runs:
        return Rest()
    known = repo.refs(layout.ARCHIVE)
    seen = {ref: oid for ref, oid in refs.items() if not ref.startswith(layout.ARCHIVE) or _is_new(ref, refs, known)}
    try:
        cleaned = cleaning.clean(repo, name, seen, graves, progress=progress)
        if cleaned.moved:  # to write an archive anew, it had to be fetched
            burial.sweep(repo, graves)
    except _LATER as error:
        return Rest(problem=error.message)
    failed = "; ".join(f"{ref}: {one.said}" for ref, one in cleaned.failed.items())
    return Rest(removed=tuple(one.ref for one in cleaned.moved), problem=failed)


def _is_new(ref: str, refs: Mapping[str, str], known: Mapping[str, str]) -> bool:
    """Whether the list of this archive is another one than here: what is here has been cleaned."""
    listed = ref.rpartition("/")[0] + "/" + archives.LIST
    return listed not in refs or refs[listed] != known.get(listed)
