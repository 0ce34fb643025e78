"""`git track uninstall`: leave a repository as if gittrack had never been there.

A tool that hides its data owes its users a way to see all of it and to be rid of it. This is the one command that
cannot be undone, so it lists first, asks, and says how to keep a copy.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import typer

from gittrack import errors
from gittrack.cli.context import here
from gittrack.core import layout
from gittrack.git.discover import Paths
from gittrack.git.repository import RefChange
from gittrack.lazy import lazy

PREFIXES = {
    layout.RUNS: "records of runs",
    layout.CODE: "snapshots of code",
    layout.LOG: "logs of annotations",
    "refs/track/": "others",
    "refs/track-undo/": "kept so that changes can be undone",
    "refs/track-remotes/": "seen on remotes",
}
BACKUP = "git bundle create runs.bundle --glob='refs/track/*'"


class Found(NamedTuple):
    """What gittrack has put into a repository."""

    refs: Mapping[str, str]
    folder: str | None  # .git/track, with journals, index and operation log
    size: int  # bytes in it
    live: list[str]  # runs that are going on


def uninstall(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List, and remove nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while runs are going on; they are lost.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove all that gittrack put into the repository.

    Lists the refs and files first: everything under refs/track, refs/track-undo and refs/track-remotes, and the folder
    .git/track. Your branches, tags, files and configuration are not touched, nor is gittrack.yaml, which is yours. This
    cannot be undone. The objects themselves go with git's next garbage collection.

    Examples:
      git track uninstall --dry-run
      git track uninstall
    """
    found = look()
    if as_json:
        document = {"refs": found.refs, "folder": found.folder, "bytes": found.size, "live": found.live}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(_listing(found))
    if dry_run or not (found.refs or found.folder):
        return
    if found.live and not force:
        raise errors.UsageError(
            f"{len(found.live)} runs are going on: {', '.join(run_id[: layout.SHORT] for run_id in found.live)}",
            "let them end, or give --force to lose them",
        )
    if not yes and not _agreed():
        raise errors.UsageError("nothing was removed", "`git track uninstall --yes` removes without asking")
    remove(found)
    if not as_json:
        sys.stdout.write("removed; `git gc --prune=now` frees the space at once\n")


def look() -> Found:
    """Find it all."""
    place = here()
    live = lazy("gittrack.runs.live")
    refs = {ref: oid for prefix in ("refs/track/", "refs/track-undo/", "refs/track-remotes/")
            for ref, oid in place.repository.refs(prefix).items()}  # fmt: skip
    folder = live.track_dir(place.paths)
    states = {run_id: live.state(live.folder(place.paths, run_id), live.here()) for run_id in live.ids(place.paths)}
    return Found(
        refs,
        folder if os.path.isdir(folder) else None,
        _size(folder),
        sorted(run_id for run_id, state in states.items() if state in (live.OPEN, live.UNKNOWN)),
    )


def remove(found: Found) -> None:
    """Take it all away: refs first, so that an interruption leaves nothing that points nowhere."""
    place = here()
    place.repository.update_refs([RefChange(ref, oid, None) for ref, oid in found.refs.items()])
    place.close()
    if found.folder is not None:
        shutil.rmtree(found.folder)
    _remove_empty(place.paths, found.refs)


def _remove_empty(paths: Paths, refs: Mapping[str, str]) -> None:
    """Directories that only held these refs: git leaves empty ones behind."""
    parents = {os.path.dirname(ref) for ref in refs}
    for parent in sorted(parents, key=len, reverse=True):
        while parent.startswith("refs/track"):
            try:
                os.rmdir(os.path.join(paths.common_dir, parent))
            except OSError:
                break  # not empty, or not there
            parent = os.path.dirname(parent)


def _listing(found: Found) -> str:
    if not found.refs and not found.folder:
        return "there is nothing of gittrack in this repository\n"
    left = set(found.refs)
    lines = []
    for prefix, what in PREFIXES.items():
        here_ = {ref for ref in left if ref.startswith(prefix)}
        left -= here_
        if here_:
            lines.append(f"{len(here_):7} refs under {prefix}  ({what})")
    if found.folder:
        lines.append(f"        {found.folder}  ({found.size / 1e6:.1f} MB: journals, index, log of operations)")
    lines.append(f"to keep a copy of the runs first: {BACKUP}")
    return "\n".join(lines) + "\n"


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm("Remove all of this?", err=True)


def _size(folder: str) -> int:
    return sum(
        os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(folder) for name in names
    )
