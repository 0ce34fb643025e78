"""Runs taken from a file or a folder: a bundle or another repository (`journals` takes journals).

What comes is judged as what a pull brings, and taken by the same change of refs, so it can be undone, and doing it
twice changes nothing. A bundle is unpacked on a desk first: git checks the objects of a transfer between repositories,
and not those of a bundle.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from gittrack import errors
from gittrack.core import events, layout
from gittrack.git import datarefs, desk, network, objects
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.git.refnames import is_valid
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, held, operations, stores
from gittrack.runs.annotations import Author
from gittrack.runs.own_store import own_store
from gittrack.share import journals, look, pull
from gittrack.share.look import Known
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
    if os.path.isfile(os.path.join(journals.folder(path), events.STARTER)):
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
        done = at.git.call("bundle", "unbundle", path, keep=(at.lock,))
        if done.code != 0:
            raise _failure(path, done.err.decode("utf-8", "replace"))
        desk.name(at, _refs(done.out.decode("utf-8", "surrogateescape")))
        with contextlib.closing(datarefs.DataStore(at.git, path)) as data:
            yield Source(at.folder, path, (Content(cast(Store, data)),))


def _refs(said: str) -> dict[str, str]:
    """Those of gittrack in the bundle: `<oid> <ref>`, one a line."""
    found = {}
    for line in said.splitlines():
        oid, _, ref = line.partition(" ")
        if objects.is_oid(oid) and ref.startswith(network.PREFIX) and is_valid(ref):
            found[ref] = oid
    return found


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
    known = look.runs(repo, ids)
    _keep_code(repo, known, author)
    lacking: list[File] = []
    if files:
        archived = {run.id for run in held.with_files(repo)}.intersection(ids)
        own = stores.local(repo)
        wanted = stores.needed(repo, [*(one.id for one in known if one.artifacts), *archived])
        lacking = [file for file in wanted if not own.has(*file)]
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


def _keep_code(repo: Repository, known: Sequence[Known], author: Author) -> None:
    """A bundle that goes on from commits of a branch does not name them: they are kept for the runs here, too."""
    refs = repo.refs(layout.CODE)
    wanted = dict.fromkeys(one.snapshot for one in known if one.snapshot)
    missing = [oid for oid in wanted if layout.code_ref(oid) not in refs and repo.exists(oid)]
    changes = [RefChange(layout.code_ref(oid), None, oid) for oid in missing]
    if changes:
        operations.apply(repo, changes, author.command, author.now, who=author.who)
