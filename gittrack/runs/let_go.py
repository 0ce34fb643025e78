"""Files that somebody let go of: which, and whether they are still here.

An undo takes back what was said. Bytes that `git track gc` has removed by then do not come back with it, so what was
ever let go of is told from what is missing although nobody wanted that.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gittrack.core import annotations, parcels
from gittrack.git.repository import Repository
from gittrack.runs import artifacts, logs, reader
from gittrack.runs.artifacts import Artifact
from gittrack.runs.own_store import own_store

KEPT, LET_GO, GONE = "kept", "let go", "gone"


class Said(NamedTuple):
    """Run id -> parcels of which it is said now that they need not be kept, and of which it was ever said."""

    now: Mapping[str, Collection[str]]
    ever: Mapping[str, Collection[str]]


def said(repo: Repository) -> Said:
    ops = logs.operations(repo)
    return Said(annotations.pruned(ops), annotations.ever_pruned(ops))


def is_here(repo: Repository, one: Artifact) -> bool:
    """Whether this clone has the bytes. Small files are in git, which loses none."""
    lfs = artifacts.of_lfs(repo, one.sha256)
    return one.where == parcels.GIT or own_store(repo.paths).has(one.sha256, one.size) or os.path.exists(lfs)


def states(repo: Repository, told: Said, run_id: str, found: Sequence[Artifact]) -> list[str]:
    """Of each file KEPT, LET_GO (and still here), or GONE: let go of once, and not in this clone any more. `told` is
    `said`, which reads every log."""
    now, ever = (artifacts.released(found, each.get(run_id, ())) for each in told)
    return [_state(repo, one, one.parcel in now, one.parcel in ever) for one in found]


def needed_again(repo: Repository, before: Mapping[str, Collection[str]]) -> list[tuple[str, Artifact]]:
    """The large files (with the ids of their runs) of parcels that were let go of `before`, and are not now."""
    now = said(repo).now
    found: list[tuple[str, Artifact]] = []
    for run_id, names in before.items():
        again = set(names) - set(now.get(run_id, ()))
        if again:
            every = artifacts.artifacts(repo, reader.read(repo, run_id))
            found += [(run_id, one) for one in every if one.parcel in again and one.where == parcels.STORE]
    return found


def _state(repo: Repository, one: Artifact, now: bool, ever: bool) -> str:
    if one.where == parcels.GIT or not ever:
        return KEPT
    return (LET_GO if now else KEPT) if is_here(repo, one) else GONE
