"""How this clone and a remote stand to each other: what is not pushed, not pulled, or has no bytes here.

Decided by what was seen at the remote last, without asking it.
"""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.git import network
from gittrack.git.lfs import shown
from gittrack.git.repository import Repository
from gittrack.runs import held, logs, remotes, stores
from gittrack.share import automatic, look, manners, pull, push
from gittrack.share.plan import Left, There
from gittrack.store.transfer import File

_ARCHIVED = 500  # runs that are read one by one


class State(NamedTuple):
    """`asked`: when the remote was asked last (None: never). `agreed`: to push there. `pulls`: what a pull would take,
    by a word for its kind. `lost`: refs that somebody took away there. `more_archived`: there are more runs in archives
    than were asked for missing files."""

    remote: str
    url: str
    asked: float | None
    agreed: bool
    runs: Sequence[str]  # that are not there
    annotations: bool  # that are not there
    archives: bool
    left: Sequence[Left]
    pulls: dict[str, int]
    lost: Sequence[str]
    missing: Sequence[File]
    automatic: automatic.Last | None
    more_archived: bool = False


def state(repo: Repository, name: str, wish: push.Wish) -> State:
    """`wish`: what a push would be asked for. Raises DamagedRecord."""
    url = network.url(repo.git, name)
    seen = remotes.load(repo.paths, url)
    refs = seen.refs if seen else {}
    there = look.Remote(name, url, There(refs), logs.tombstones(repo))
    prepared = push.prepare(repo, there, wish)
    archived = _archived(repo)
    moved = [change.ref for change in prepared.plan.every if change.new]
    return State(
        shown(name),
        shown(url),
        seen.w if seen else None,
        manners.load(repo.paths, url).agreed,
        prepared.plan.runs,
        any(ref.startswith(layout.LOG) for ref in moved),
        any(ref.startswith(layout.ARCHIVE) for ref in moved),
        prepared.plan.left,
        pull.counted(pull.left(repo, seen)) if seen else {},
        [*(seen.lost if seen else ())],
        missing(repo, archived),
        automatic.last(repo.paths),
        len(archived) > _ARCHIVED,
    )


def missing(repo: Repository, archived: Sequence[str] = ()) -> list[File]:
    """Files of runs whose bytes are not in this clone: of those that have refs, and of these."""
    ids = [*(one.id for one in look.runs(repo) if one.artifacts), *archived[:_ARCHIVED]]
    own = stores.local(repo)
    return [file for file in stores.needed(repo, ids) if not own.has(*file)] if ids else []


def _archived(repo: Repository) -> list[str]:
    """Archived runs whose records are here and may have kept files; of many, one more than are looked at."""
    found: dict[str, None] = {}
    with contextlib.suppress(errors.DamagedRecord, errors.NewerFormat):  # `git track doctor` tells
        for run in held.with_files(repo):
            found[run.id] = None
            if len(found) > _ARCHIVED:
                break
    return [*found]
