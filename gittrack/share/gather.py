"""Runs that are moved into the archive of this clone before a push, so that it moves a handful of refs.

At a push, since then what the archive costs is paid once: refs that were there are taken away by the same push, others
never get there.
"""

from gittrack.core import annotations
from gittrack.git.network import Progress
from gittrack.git.repository import Repository
from gittrack.runs import archiving, due, logs
from gittrack.runs.annotations import Author
from gittrack.share.push import MANY, Prepared, Wish, prepare


def wanted(repo: Repository, prepared: Prepared, wish: Wish, limit: int | None) -> list[str]:
    """The runs to archive first, the oldest ones first. None where runs were named: the archive has others, too.
    `limit`: the setting `archive`. Raises DamagedRecord, NewerFormat of a log of annotations."""
    if wish.ids is not None or limit is None:
        return []
    going = prepared.full if len(prepared.full) > max(MANY, limit) else ()
    alone = annotations.kept_loose(logs.operations(repo)) if going else set()
    found = dict.fromkeys((*due.due(repo, limit), *(run_id for run_id in going if run_id not in alone)))
    return [run_id for run_id in found if run_id not in wish.hidden]


def gather(
    repo: Repository,
    prepared: Prepared,
    wish: Wish,
    limit: int | None,
    author: Author,
    progress: Progress | None = None,
) -> Prepared:
    """Archive what is due, and decide again. Raises CannotWrite, RefConflict; DamagedRecord of an archive."""
    found = wanted(repo, prepared, wish, limit)
    if not found:
        return prepared
    moved: list[int] = []

    def told(count: int) -> None:
        moved.append(count)
        if progress:
            progress("Runs", sum(moved), len(found))

    done = set(archiving.archive(repo, found, author, told).done)
    again = prepare(repo, prepared.remote, wish)
    return again._replace(archived=tuple(one.id for one in prepared.runs if one.id in done))
