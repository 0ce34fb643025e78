"""A run that was recorded elsewhere, without this repository (GITTRACK_RUN_DIR), folded here.

The folder is copied and never changed: what is copied are the files that a journal consists of, and no links.
"""

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Callable
from typing import NamedTuple

from gittrack import errors
from gittrack.core import events, layout, parcels
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, folding, foreign, live, logs, operations
from gittrack.runs.annotations import Author
from gittrack.runs.own_store import own_store

_FILES = (events.CONSOLE, "console.tail", events.CUTS, "arguments")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_LARGE = "files"  # kept by an attendant, which has no store


class Journal(NamedTuple):
    """The run in a folder. `known`: it is in this repository already."""

    run: str
    path: str
    command: str
    size: int
    known: bool


def folder(path: str) -> str:
    """The folder with the journal: `path`, or `run` in it, where that is the folder of a job."""
    inner = os.path.join(path, "run")
    return inner if os.path.isfile(os.path.join(inner, events.STARTER)) else path


def look(repo: Repository, path: str) -> Journal:
    """What a folder holds. Raises UsageError, DamagedRecord."""
    path = folder(path)
    head = live.head(path)
    run = head[1].get("run") if head and events.is_sound(head[1]) else None
    run_id = run.get("id") if isinstance(run, dict) else None
    if not isinstance(run, dict) or not isinstance(run_id, str) or not layout.is_id(run_id):
        raise errors.DamagedRecord(f"{path} holds no journal of a run: it has no start", "is it copied whole?")
    if live.is_away(live.folder(repo.paths, run_id)):
        raise errors.UsageError(
            f"run {run_id[: layout.SHORT]} is at a host, and comes from there", "`git track ps` says where"
        )
    if live.held(path, live.process_files(path)):
        raise errors.UsageError(f"run {run_id[: layout.SHORT]} in {path} is still going", "import it when it has ended")
    if run_id in logs.tombstones(repo).runs:
        raise errors.UsageError(f"run {run_id[: layout.SHORT]} was purged", "it is not taken again")
    known = archives.find(repo, run_id) is not None
    size = sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
    return Journal(run_id, path, str(run.get("command") or ""), size, known)


def take(repo: Repository, found: Journal, keep: Callable[[str], None], author: Author) -> str:
    """Copy and fold it; gives the tip. `keep` sees to files of the run that wait to be kept, and returns when it has.

    Killed half way, the next try (or `git track recover --force`) goes on. Raises CannotWrite, DamagedRecord.
    """
    directory = live.folder(repo.paths, found.run)
    if not os.path.isdir(directory):
        _bring(found.path, directory)
    if live.parcels(directory):
        keep(directory)
    _store(repo, found.path)
    opened = folding.Folder.open(repo, directory)
    if opened is None:
        raise errors.RefConflict("another process is folding this run", "it will be complete when that has ended")
    try:
        done = opened.finish(author.now, "crashed")
    finally:
        opened.close()
    if not done:
        raise errors.CannotWrite(
            f"the files of run {found.run[: layout.SHORT]} could not all be kept", "make room, then import it again"
        )
    return _judged(repo, found.run, author)


def _judged(repo: Repository, run_id: str, author: Author) -> str:
    """Its tip. A record that does not read is taken away again."""
    ref = layout.run_ref(run_id)
    tip = repo.refs(ref)[ref]
    wrong = foreign.wrong(repo, {run_id: tip}).get(run_id)
    if wrong:
        operations.apply(repo, [RefChange(ref, tip, None)], author.command, author.now, who=author.who, keep=False)
        raise errors.DamagedRecord(f"the journal of run {run_id[: layout.SHORT]} makes no sound record: {wrong}")
    return tip


def _bring(source: str, directory: str) -> None:
    aside = f"{directory}.{os.getpid()}.import"
    try:
        os.makedirs(aside)
        for name in [*live.process_files(source), *_FILES]:
            _copy(os.path.join(source, name), os.path.join(aside, name))
        for name in _listed(os.path.join(source, parcels.BLOBS)):
            if _DIGEST.match(name):
                _copy(os.path.join(source, parcels.BLOBS, name), os.path.join(aside, parcels.BLOBS, name))
        for name in live.parcels(source):
            shutil.copytree(live.parcel(source, name), live.parcel(aside, name), symlinks=True)
        os.rename(aside, directory)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise errors.CannotWrite(
            f"cannot copy {source} to {directory}: {error.strerror or error}", "make room, then run it again"
        ) from error


def _store(repo: Repository, source: str) -> None:
    """Take large files into the store of this clone. One that is not what its name says is of no use to anybody."""
    names = [name for name in _listed(os.path.join(source, _LARGE)) if _DIGEST.match(name)]
    content = own_store(repo.paths)
    for name in names:
        path = os.path.join(source, _LARGE, name)
        if stat.S_ISREG(os.lstat(path).st_mode):
            content.put_file(path, durable=False)
    if names:
        content.flush()


def _listed(folder: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(folder))
    return []


def _copy(source: str, target: str) -> None:
    """A regular file; what is not there, or is something else, is passed over."""
    try:
        if not stat.S_ISREG(os.lstat(source).st_mode):
            return
    except FileNotFoundError:
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target, follow_symlinks=False)
