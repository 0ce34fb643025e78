"""All that gittrack has put into a repository, listed and removed.

A tool that hides its data owes its users a way to see all of it and to be rid of it. Branches, tags, files, settings
and `gittrack.yaml` are the user's and stay.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import hooks as hook_files
from gittrack.git.discover import Paths
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import live, operations

KEPT = "refs/track-kept/"
PREFIXES: Mapping[str, str] = {
    layout.RUNS: "records of runs",
    layout.CODE: "snapshots of code",
    layout.LOG: "logs of annotations",
    layout.ARCHIVE: "archives of runs",
    "refs/track/": "others",
    operations.KEEP: "kept so that changes can be undone",
    KEPT: "records that archives of others list",
    "refs/track-remotes/": "seen on remotes",
}
ROOTS = ("refs/track/", operations.KEEP, KEPT, "refs/track-remotes/")
BACKUP = "git track export --all -o runs.bundle"


class Plan(NamedTuple):
    """What would be removed."""

    refs: Mapping[str, str]
    folder: str | None  # .git/track: journals, index, log of operations
    size: int  # bytes in it
    live: tuple[str, ...]  # runs that are going on, or may be: they would be lost
    settings: tuple[str, ...]  # keys `track.*` of the repository's own config, which people have set
    hooks: tuple[hook_files.Step, ...] = ()  # scripts of ours, for which the user's own come back

    def __bool__(self) -> bool:
        return bool(self.refs or self.folder or self.hooks)

    def counted(self) -> dict[str, int]:
        """Prefix of PREFIXES -> how many refs; each ref once."""
        counts: dict[str, int] = {}
        for ref in self.refs:
            prefix = next(prefix for prefix in PREFIXES if ref.startswith(prefix))
            counts[prefix] = counts.get(prefix, 0) + 1
        return {prefix: counts[prefix] for prefix in PREFIXES if prefix in counts}


def plan(repo: Repository) -> Plan:
    """Find it all."""
    folder = live.track_dir(repo.paths)
    states = {run_id: live.state(live.folder(repo.paths, run_id), live.here()) for run_id in live.ids(repo.paths)}
    found = repo.git.call("config", "--local", "--name-only", "--get-regexp", r"^track\.")
    return Plan(
        {ref: oid for root in ROOTS for ref, oid in repo.refs(root).items()},
        folder if os.path.isdir(folder) else None,
        _size(folder),
        tuple(sorted(run_id for run_id, state in states.items() if state in live.GOING)),
        tuple(sorted(set(found.out.decode(errors="replace").split()))),
        _hooks(repo),
    )


def remove(repo: Repository, found: Plan) -> None:
    """Take it away, hooks and refs first: an interruption leaves nothing that points nowhere, and may be followed by
    another call. Raises RefConflict when a ref moved since the plan, CannotWrite."""
    hook_files.uninstall(found.hooks)
    repo.update_refs([RefChange(ref, oid, None) for ref, oid in found.refs.items()])
    try:
        if found.folder is not None:
            shutil.rmtree(found.folder)
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot remove {error.filename or found.folder}: {error.strerror}", f"rm -r '{found.folder}'"
        ) from error
    _remove_empty(repo.paths)


def _hooks(repo: Repository) -> tuple[hook_files.Step, ...]:
    """Those of this clone. A folder that serves others, or is part of the project, is not this clone's to clear."""
    place = hook_files.folder(repo.git)
    steps = hook_files.to_uninstall(hook_files.look(place)) if place.whose == hook_files.CLONE else []
    return tuple(step for step in steps if step.action == hook_files.WRITE)


def _remove_empty(paths: Paths) -> None:
    """Directories that only held our refs: git leaves empty ones behind."""
    for root in ROOTS:
        for directory, _, _ in os.walk(os.path.join(paths.common_dir, root), topdown=False):
            with contextlib.suppress(OSError):  # not empty: a ref was made meanwhile
                os.rmdir(directory)


def _size(folder: str) -> int:
    return sum(os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(folder) for name in names)
