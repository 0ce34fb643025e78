"""Runs taken from a file or a folder: a bundle or another repository (`journals` takes journals).

What comes is judged as what a pull brings, and taken by the same change of refs, so it can be undone, and doing it
twice changes nothing. A bundle is unpacked on a desk first: git checks the objects of a transfer between repositories,
and not those of a bundle.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple, cast

from gittrack import errors
from gittrack.core import layout
from gittrack.git import datarefs, desk, network
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, operations, reader, stores
from gittrack.runs.annotations import Author
from gittrack.runs.own_store import own_store
from gittrack.share import pull
from gittrack.share.pull import Plan, Result, Wish
from gittrack.store.base import Store
from gittrack.store.content import Content, Progress
from gittrack.store.transfer import File, Report

BUNDLE, REPOSITORY, JOURNAL = "bundle", "repository", "journal"
EVERYTHING = Wish(code=True, records=True, again=True)


class Source(NamedTuple):
    """`place` is what git fetches from, `url` what it goes by; `contents` have its artifacts."""

    place: str
    url: str
    contents: tuple[Content, ...]


class Taken(NamedTuple):
    """What came: refs, and the files of the runs that are there."""

    result: Result
    files: Report


def kind_of(path: str) -> str:
    """What `path` is. Raises UsageError for what is none of them."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read(12) in (b"# v2 git bun", b"# v3 git bun"):
                return BUNDLE
        raise errors.UsageError(f"{path} is no git bundle", "`git track export -o FILE.bundle` makes one")
    if os.path.isfile(os.path.join(path, "run.jsonl")):
        return JOURNAL
    if os.path.isdir(path):
        with contextlib.suppress(errors.NotARepository):
            found = discover(path, {"GIT_CEILING_DIRECTORIES": os.path.dirname(os.path.realpath(path))})
            if os.path.isdir(found.common_dir):
                return REPOSITORY
    raise errors.UsageError(
        f"{path} is no git bundle, no repository, and no folder of a run's journal",
        "a bundle comes from `git track export`; a journal is what GITTRACK_RUN_DIR named",
    )


@contextlib.contextmanager
def opened(repo: Repository, path: str) -> Iterator[Source]:
    """The bundle or repository `path`, to be taken from. Raises GitFailed, NotARepository, CannotWrite."""
    path = os.path.abspath(path)
    if kind_of(path) == BUNDLE:
        with _unpacked(repo, path) as source:
            yield source
        return
    there = discover(path, {})
    if os.path.samefile(there.common_dir, repo.paths.common_dir):
        raise errors.UsageError(f"{path} is this repository itself", "name another one, or a bundle")
    git = Git(there, {key: value for key, value in repo.git.environ.items() if not key.startswith("GIT_")})
    with contextlib.closing(datarefs.DataStore(git, path)) as data:
        # By another name than a remote that is pulled from: nothing that was purged is taken away there
        yield Source(path, os.path.join(path, ""), (own_store(there), Content(cast(Store, data))))


@contextlib.contextmanager
def _unpacked(repo: Repository, path: str) -> Iterator[Source]:
    with desk.desk(repo.git) as at:
        desk.borrow(at)
        # What a bundle asks for must be reachable where it is unpacked
        users = {ref: oid for ref, oid in repo.refs("refs/").items() if not ref.startswith("refs/track")}
        desk.name(at, {f"refs/users/{number}": oid for number, oid in enumerate(dict.fromkeys(users.values()))})
        words = ("fetch", "--no-tags", "--no-auto-gc", "--no-recurse-submodules", "--quiet")
        done = at.git.call(*words, path, "+refs/track/*:refs/track/*", keep=(at.lock,))
        if done.code != 0:
            raise _failure(path, done.err.decode("utf-8", "replace"))
        with contextlib.closing(datarefs.DataStore(at.git, path)) as data:
            yield Source(at.folder, path, (Content(cast(Store, data)),))


def _failure(path: str, said: str) -> errors.GitFailed:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if "lacks these prerequisite commits" in said:
        return errors.GitFailed(
            f"{path} goes on from commits that are not here: {'; '.join(lines[1:4])}",
            "fetch the project's branches first; or have it exported without --since",
        )
    return errors.GitFailed(
        f"{path} cannot be read: {'; '.join(lines[-3:])}", "`git bundle verify` checks it; copy it again"
    )


def preview(repo: Repository, source: Source) -> Plan:
    """What would come. Raises RemoteFailed."""
    return pull.preview(repo, source.place, source.url, EVERYTHING)


def take(
    repo: Repository,
    source: Source,
    author: Author,
    files: bool = True,
    progress: network.Progress | None = None,
    stored: Progress | None = None,
) -> Taken:
    """Take it all. Raises RemoteFailed, CannotWrite, RefConflict."""
    result = pull.take(repo, source.place, source.url, EVERYTHING, author, progress)
    ids = _there(repo, source)
    _keep_code(repo, ids, author)
    wanted = stores.needed(repo, [run_id for run_id in ids if _is_readable(repo, run_id)]) if files else []
    own = stores.local(repo)
    lacking: list[File] = [file for file in wanted if not own.has(*file)]
    report = stores.send(source.contents, own, lacking, workers=1, progress=stored) if lacking else Report()
    return Taken(result, report)


def _there(repo: Repository, source: Source) -> list[str]:
    """The runs that the source has and this clone now has, too."""
    there = network.ls_remote(repo.git, source.place)
    ids = [run_id for ref in there if (run_id := layout.id_of_ref(ref))]
    listed = [oid for ref, oid in there.items() if (parts := layout.archive_of_ref(ref)) and parts[2] == archives.LIST]
    ids += archives.archived(repo, {oid: oid for oid in listed if repo.exists(oid)})
    here = {*archives.archived(repo), *(ref.rpartition("/")[2] for ref in repo.refs(layout.RUNS))}
    return [run_id for run_id in dict.fromkeys(ids) if run_id in here]


def _is_readable(repo: Repository, run_id: str) -> bool:
    place = archives.find(repo, run_id)
    return place is not None and repo.exists(place.root)


def _keep_code(repo: Repository, ids: list[str], author: Author) -> None:
    """A bundle that goes on from commits of a branch does not name them: they are kept for the runs here, too."""
    refs = repo.refs(layout.CODE)
    changes: dict[str, RefChange] = {}
    loose = repo.refs(layout.RUNS)
    for run_id in ids:
        if layout.run_ref(run_id) not in loose:
            continue
        snapshot = reader.read(repo, run_id).facts.get("snapshot")
        ref = layout.code_ref(snapshot) if snapshot else ""
        if snapshot and ref not in refs and repo.exists(snapshot):
            changes[ref] = RefChange(ref, None, snapshot)
    if changes:
        operations.apply(repo, [*changes.values()], author.command, author.now, who=author.who)
