"""The records of archived runs that this clone knows by a list alone, brought whole before they are written anew.

Reading a run fetches its last tree by itself (`runs.fetching`). Who exports it, or gives it a ref again, needs its
history, which is in `records` of its archive.
"""

import contextlib
from collections.abc import Collection, Iterable

from gittrack import errors
from gittrack.core import layout
from gittrack.git import network
from gittrack.git.repository import Repository
from gittrack.runs import archive_trees, archives, fetching, operations
from gittrack.runs.annotations import Author
from gittrack.share import pull


def records(
    repo: Repository, ids: Iterable[str], author: Author, progress: network.Progress | None = None
) -> list[str]:
    """Have those of these runs. Gives what is lacking afterwards. Raises RemoteFailed where a remote that has them
    cannot be asked, CannotWrite."""
    lacking = _lacking(repo, ids)
    if not lacking:
        return []
    author = author._replace(command=author.command + operations.BY_ITSELF)
    refs = [f"{ref.removesuffix('list')}records" for ref in archives.lists(repo)]
    problem: errors.RemoteFailed | None = None
    for source in fetching.sources_of(repo, [ref for ref in refs if ref not in repo.refs(ref)]):
        try:
            pull.pull(repo, source.remote, pull.Wish(records=True), author, progress)
        except errors.RemoteFailed as error:
            problem = error
            continue
        lacking = _lacking(repo, lacking)
        if not lacking:
            return []
    if problem is not None:
        raise problem
    return lacking


def _lacking(repo: Repository, ids: Iterable[str]) -> list[str]:
    """Those that no ref and no record here has."""
    here: set[str] = {run_id for ref in repo.refs(layout.RUNS) if (run_id := layout.id_of_ref(ref))}
    wanted = [run_id for run_id in dict.fromkeys(ids) if run_id not in here]
    held = _held(repo) if wanted else ()
    return [run_id for run_id in wanted if run_id not in held]


def _held(repo: Repository) -> Collection[str]:
    found: set[str] = set()
    for tip in (*archives.tips(repo, archives.RECORDS).values(), *repo.refs(layout.KEPT).values()):
        with contextlib.suppress(KeyError, ValueError, errors.DamagedRecord, errors.NewerFormat):
            found.update(archive_trees.run_ids(repo, tip))
    return found
