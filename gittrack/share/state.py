"""How this clone and a remote stand to each other: what is not pushed, not pulled, or has no bytes here.

Decided by what was seen at the remote last, without asking it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gittrack.core import layout
from gittrack.git import network
from gittrack.git.lfs import shown
from gittrack.git.repository import Repository
from gittrack.runs import logs, remotes, stores
from gittrack.share import automatic, look, manners, pull, push
from gittrack.share.plan import Left, There
from gittrack.store.transfer import File


class State(NamedTuple):
    """`asked`: when the remote was asked last (None: never). `agreed`: to push there. `pulls`: what a pull would take,
    by a word for its kind. `lost`: refs that somebody took away there."""

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
    missing: Sequence[File]  # of runs that have refs here
    automatic: automatic.Last | None


def state(repo: Repository, name: str, wish: push.Wish) -> State:
    """`wish`: what a push would be asked for. Raises DamagedRecord."""
    url = network.url(repo.git, name)
    seen = remotes.load(repo.paths, url)
    refs = seen.refs if seen else {}
    there = look.Remote(name, url, There(refs), logs.tombstones(repo))
    prepared = push.prepare(repo, there, wish)
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
        missing(repo),
        automatic.last(repo.paths),
    )


def missing(repo: Repository) -> list[File]:
    """Files of runs with refs of their own whose bytes are not in this clone."""
    ids = [one.id for one in look.runs(repo) if one.artifacts]
    held = stores.local(repo)
    return [file for file in stores.needed(repo, ids) if not held.has(*file)] if ids else []
