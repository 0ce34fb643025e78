"""The facts of a run that is about to start: run.json."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import __version__
from gittrack.core import codec
from gittrack.core.parcels import LFS
from gittrack.core.redact import Redactor
from gittrack.git.discover import Paths
from gittrack.git.snapshot_values import Snapshot
from gittrack.lazy import lazy
from gittrack.record.command import text_of
from gittrack.recorder import opening


class Labels(NamedTuple):
    """What the user says of the run as it starts."""

    name: str | None = None
    tags: Sequence[str] = ()
    note: str | None = None
    experiment: str | None = None

    def check(self) -> "Labels":
        """Raises UsageError for a name that could not be selected later."""
        if self.name is not None:
            lazy("gittrack.core.select").validate_name(self.name)
        return self


def facts(
    run_id: str,
    argv: Sequence[str],
    labels: Labels,
    snapshot: Snapshot,
    user: Mapping[str, str],
    redactor: Redactor,
    place: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """run.json. `place`: cwd, parent, notebook, writer, continues and origin, as far as there are any."""

    def text(given: str | None) -> str | None:
        return redactor.text(given) if given else None

    clean = redactor.argv(argv)
    return {
        "id": run_id,
        "command": text_of(clean),
        "argv": clean,
        "cwd": place.get("cwd", "."),
        "created": codec.format_time(now),
        "user": dict(user),
        "host": os.uname().nodename,
        "base": snapshot.base,
        "snapshot": snapshot.oid,
        "state": snapshot.state,
        "branch": snapshot.branch,
        "experiment": text(labels.experiment),
        "name": text(labels.name),
        "tags": list(dict.fromkeys(map(text, labels.tags))),
        "note": text(labels.note),
        "left_out": _left_out(snapshot, redactor),
        "parent": place.get("parent"),
        "continues": place.get("continues"),
        "notebook": place.get("notebook"),
        "writer": place.get("writer"),
        "gittrack": __version__,
        **({"origin": place["origin"]} if place.get("origin") else {}),
    }


def stored(stores: Sequence[str]) -> dict[str, str]:
    """What the start event says of where files are kept: a reader of the record need know of git-lfs only."""
    return {"store": LFS} if LFS in stores else {}


def _left_out(snapshot: Snapshot, redactor: Redactor) -> list[dict[str, Any]]:
    return [
        {
            "path": redactor.text(left.path),
            "size": left.size,
            "reason": redactor.text(left.reason),
            "sha256": left.sha256,
        }
        for left in snapshot.left_out
    ]


def relative_cwd(paths: Paths, cwd: str) -> str:
    """The directory below the top of the work tree, `.` for the top; absolute where it is not in one."""
    here = os.path.realpath(cwd)
    if paths.worktree is None or os.path.commonpath([paths.worktree, here]) != paths.worktree:
        return here
    return os.path.relpath(here, paths.worktree)


def parent_of(environ: Mapping[str, str]) -> str | None:
    """The run that this one is started in, if that is still open: an environment outlives its run."""
    directory = environ.get(opening.RUN_DIR)
    if directory and opening.is_open(directory):
        return environ.get(opening.RUN_ID) or os.path.basename(directory)
    return None
