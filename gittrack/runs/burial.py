"""Purged runs taken out of this clone: refs, archives, files in its store, traces in its caches, and the objects.

What is purged stands in the logs of annotations, which are never shortened; so this can be asked for at any time, by
whoever purges and by every clone that hears of it, and be killed and asked for again: what is gone already is not
there to be found. Files go before the record that names them, refs before the objects.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout, parcels
from gittrack.core.annotations import Tombstones
from gittrack.git import erasing, objects, reflogs, snapshot
from gittrack.git.erasing import Erased
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archive_purging, archives, artifacts, gc, live, needs, operations, reader
from gittrack.runs.annotations import Author
from gittrack.runs.own_store import own_store

OURS = "refs/track"
_TRIES = 5
_WAIT = 3.0  # seconds between the objects of a cut and its ref, of runs that go on: what they share with what goes
_RUN, _CUT = re.compile(rb"^Track-Run: ([0-9a-f]{20})$", re.MULTILINE), re.compile(rb"^Track-Cut: \d+$", re.MULTILINE)


class Buried(NamedTuple):
    """What was removed here. `files`: keys of the clone's own store; `live`: runs that go on, and were left."""

    runs: tuple[str, ...] = ()
    refs: int = 0
    files: Mapping[str, int] = {}
    erased: Erased = Erased()
    live: tuple[str, ...] = ()
    unsure: str = ""  # why no file was removed from the store


def is_due(repo: Repository, graves: Tombstones) -> bool:
    """Whether something that was purged may still be here: it is looked for once, and known by refs that come back."""
    if not graves.runs:
        return False
    came_back = any(graves.forbid(ref, oid) for ref, oid in repo.refs(OURS).items())
    return came_back or erasing.is_unfinished(repo.paths.common_dir) or _said(repo) != _digest(graves)


def here(repo: Repository, graves: Tombstones) -> list[str]:
    """The purged runs whose records can be read here."""
    refs = repo.refs(layout.RUNS)
    listed = archives.archived(repo)
    return sorted(run_id for run_id in graves.runs if layout.run_ref(run_id) in refs or run_id in listed)


def bury(repo: Repository, graves: Tombstones, author: Author) -> Buried:
    """Remove all of it. Raises RefConflict, CannotWrite, GitFailed, DamagedRecord; may then be called again."""
    going = _live(repo, graves)
    graves = graves._replace(runs=graves.runs - set(going))
    runs = here(repo, graves)
    files: Mapping[str, int] = {}
    unsure = ""
    try:
        files = _remove_files(repo, files_of(repo, runs), graves)
    except (errors.Unsupported, errors.DamagedRecord) as error:
        unsure = error.message
    count = _drop_refs(repo, graves, author)
    _forget(repo, graves)
    erased = sweep(repo, graves)
    if not going:
        _say(repo, graves)
    return Buried(tuple(runs), count, files, erased, tuple(going), unsure)


def sweep(repo: Repository, graves: Tombstones) -> Erased:
    """Remove the objects that nothing but what was purged needs. Raises what `erasing.erase` raises."""
    reflogs.forget(repo, OURS)  # git keeps what they name
    wait = _WAIT if live.ids(repo.paths) else 0.0
    names = {*graves.runs, *graves.oids}
    return erasing.erase(repo, lambda oid, data: _is_purged(repo, graves, oid, data), names, wait)


def files_of(repo: Repository, runs: Iterable[str]) -> set[str]:
    """sha256 of the files in stores of these runs, as far as their records are here."""
    found: set[str] = set()
    for run_id in runs:
        with contextlib.suppress(errors.RunNotFound, errors.MissingContent, errors.DamagedRecord, errors.RemoteFailed):
            every = artifacts.artifacts(repo, reader.read(repo, run_id))
            found.update(one.sha256 for one in every if one.where == parcels.STORE)
    return found


def needed_elsewhere(repo: Repository, graves: Tombstones) -> set[str]:
    """sha256 of the files that runs need which were not purged. Raises what `needs.of_clone` raises."""
    return {file.sha256 for file in needs.of_clone(repo).files if file.run not in graves.runs}


def changes(repo: Repository, graves: Tombstones) -> tuple[list[RefChange], list[objects.Object]]:
    """The refs of this clone that hold something purged, and where they have to go; with the objects for that."""
    moved: list[RefChange] = []
    made: list[objects.Object] = []
    if not graves.runs and not graves.oids:
        return moved, made
    parts: dict[str, dict[str, str]] = {}
    for ref, oid in repo.refs(OURS).items():
        name = layout.archive_of_ref(ref)
        if name:
            parts.setdefault(ref.rpartition("/")[0] + "/", {})[name[2]] = oid
        elif ref == layout.KEPT:
            parts[ref.removesuffix(archives.RECORDS)] = {archives.RECORDS: oid}
        elif graves.forbid(ref, oid) or (_is_aside(ref) and _holds(repo, graves, oid)):
            moved.append(RefChange(ref, oid, None))
    for prefix, tips in parts.items():
        for part, one in archive_purging.rewritten(repo, tips, graves).items():
            moved.append(RefChange(prefix + part, tips[part], one.tip))
            made += one.made
    return moved, made


def _is_aside(ref: str) -> bool:
    return not ref.startswith("refs/track/")


def _holds(repo: Repository, graves: Tombstones, oid: str) -> bool:
    try:
        kind, data = repo.read(oid)
    except KeyError:
        return False
    return kind == "commit" and _is_purged(repo, graves, oid, data)


def _is_purged(repo: Repository, graves: Tombstones, oid: str, data: bytes) -> bool:
    """Whether a commit is of a purged run, a purged snapshot, or of an archive that has such. A user's commit may name
    the run it became, but it is no cut of one; nor is it a snapshot, whatever somebody's log says."""
    if oid in graves.oids and b"\nauthor %s " % snapshot.AUTHOR.encode() in data.partition(b"\n\n")[0]:
        return True
    run = _RUN.search(data)
    if run and _CUT.search(data):
        return run[1].decode() in graves.runs
    with contextlib.suppress(errors.DamagedRecord, KeyError, ValueError):
        return archive_purging.holds(repo, oid, graves)
    return False


def _live(repo: Repository, graves: Tombstones) -> list[str]:
    """Purged runs that go on; what is left of others goes."""
    found = []
    for run_id in live.ids(repo.paths):
        if run_id in graves.runs:
            folder = live.folder(repo.paths, run_id)
            if live.state(folder, live.here()) in live.GOING:
                found.append(run_id)
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return found


def _remove_files(repo: Repository, digests: set[str], graves: Tombstones) -> dict[str, int]:
    """From the clone's own store what no other run needs; key -> bytes."""
    if not digests:
        return {}
    content = own_store(repo.paths)
    with gc.alone(repo):
        going = gc.keys_of(content, digests) - gc.keys_of(content, needed_elsewhere(repo, graves))
        sizes = {key: content.store.size(key) or 0 for key in going}
        content.store.delete(sorted(going, reverse=True))  # lists before the chunks that they name
    return sizes


def _drop_refs(repo: Repository, graves: Tombstones, author: Author) -> int:
    for left in range(_TRIES - 1, -1, -1):
        moved, made = changes(repo, graves)
        if not moved:
            return 0
        repo.write(objects.unique(made), durable=True)
        try:
            operations.apply(repo, moved, author.command, author.now, who=author.who, keep=False, durable=True)
        except errors.RefConflict:
            if not left:
                raise
        else:
            return len(moved)
    raise AssertionError


def _forget(repo: Repository, graves: Tombstones) -> None:
    """What the log of operations and the index say of it. The index is a cache: it is made again."""
    operations.forget(repo.paths, lambda line: _names_it(line, graves))
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(live.track_dir(repo.paths), "index.sqlite" + suffix))


def _names_it(line: Mapping[str, object], graves: Tombstones) -> bool:
    """Whether an operation was the recording of a purged run, or cannot be undone any more as it would need it."""
    refs = line.get("refs")
    moved = [tuple(one) for one in refs if isinstance(one, list)] if isinstance(refs, list) else []
    return line.get("group") in graves.runs or any(
        layout.id_of_ref(str(one[0])) in graves.runs or not graves.oids.isdisjoint(one[1:]) for one in moved if one
    )


def _said(repo: Repository) -> str:
    """For which tombstones all was done last."""
    with contextlib.suppress(OSError), open(_note(repo), encoding="ascii") as file:
        return file.read().strip()
    return ""


def _say(repo: Repository, graves: Tombstones) -> None:
    with contextlib.suppress(OSError), open(_note(repo), "w", encoding="ascii") as file:  # else it is looked for again
        file.write(_digest(graves))


def _digest(graves: Tombstones) -> str:
    return hashlib.sha256("\n".join([*sorted(graves.runs), "", *sorted(graves.oids)]).encode()).hexdigest()


def _note(repo: Repository) -> str:
    return os.path.join(live.track_dir(repo.paths), "buried")
