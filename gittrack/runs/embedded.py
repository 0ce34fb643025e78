"""Files of runs shared through the git remote itself, which is what happens where no `store:` is set.

By git-lfs where the remote has it. Elsewhere as chunks in git objects under `refs/track/data`, up to a limit: every
clone of refs/track/* carries them, and hosts of git do not like repositories of many gigabytes.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from gittrack import errors
from gittrack.core import parcels
from gittrack.git import datarefs, desk
from gittrack.git.datarefs import DataStore
from gittrack.git.lfs import shown
from gittrack.git.repository import Repository
from gittrack.runs import known, lfs, remotes
from gittrack.runs.own_store import own_store
from gittrack.store import chunklist
from gittrack.store.base import Store
from gittrack.store.content import Content, Progress, chunk_key, list_key
from gittrack.store.transfer import File, Report, batches
from gittrack.store.verify import is_right

EMBEDDED = "embedded"  # of the setting `store`
LIMIT = 1_000_000_000  # bytes of chunks in git objects of one remote
BATCH = 100_000_000  # bytes of one pair of refs: what a cut connection costs


class Shared(Content):
    """The content store of this clone, which brings from a git remote what it lacks when it is asked for."""

    def __init__(self, repo: Repository, remote: str, stores: Sequence[str]) -> None:
        self._repo = repo
        self._remote = remote
        self._stores = stores
        self._own = own_store(repo.paths)
        super().__init__(self._own.store)

    def bring(self, files: Iterable[tuple[str, int]]) -> None:
        """One transfer for all: each asks the remote what it has, which takes seconds."""
        lacking = [file for file in files if not self._own.has(*file)]
        if lacking:
            with contextlib.suppress(errors.MissingContent):  # said of each file when it is read
                download(self._repo, self._stores, lacking, self._remote)

    def has(self, sha256: str, size: int) -> bool:
        """Whether it is in this clone."""
        return self._own.has(sha256, size)

    def chunks(self, sha256: str, size: int) -> list[chunklist.Chunk]:
        if not self._own.has(sha256, size):
            download(self._repo, self._stores, [(sha256, size)], self._remote)
        return self._own.chunks(sha256, size)


def is_shared(stores: Sequence[str]) -> bool:
    """Whether these settings (`Settings.store`) share files through the git remote."""
    return not {EMBEDDED, parcels.LFS}.isdisjoint(stores)


def default_remote(repo: Repository) -> str | None:
    """The remote that holds the runs, and so their files; None where there is none, or no telling which."""
    return remotes.meant(repo.git)


def upload(
    repo: Repository,
    stores: Sequence[str],
    files: Iterable[tuple[str, int]],
    remote: str,
    progress: Progress | None = None,
    limit: int = LIMIT,
    again: bool = False,
) -> Report:
    """What `git track store push` does for `store: embedded` and `store: lfs`; raises what `push` does."""
    content = own_store(repo.paths)
    if parcels.LFS in stores:
        return lfs.push(repo, content, remote, files, progress, again)
    return push(repo, content, remote, files, progress, limit, again)


def download(
    repo: Repository,
    stores: Sequence[str],
    files: Iterable[tuple[str, int]],
    remote: str | None,
    progress: Progress | None = None,
) -> Report:
    """The other way; raises what `pull` does."""
    content = own_store(repo.paths)
    if parcels.LFS in stores and remote is not None:
        return lfs.pull(repo, content, remote, files, progress)
    return pull(repo, content, remote, files, progress)


def plan(
    repo: Repository, stores: Sequence[str], files: Iterable[tuple[str, int]], remote: str, fetching: bool
) -> Report:
    """What `download` or `upload` would do, as far as it is known without asking the remote."""
    wanted = lfs.wanted(files)
    if fetching:
        content = own_store(repo.paths)
        return lfs.report(wanted, [file for file in wanted if not content.has(*file)])
    there = known.load(repo.paths, lfs.address(repo, remote)) if lfs.installed(repo) else set()
    if parcels.LFS not in stores:
        there |= known.load(repo.paths, _place(repo, remote))
    return lfs.report(wanted, [file for file in wanted if file.sha256 not in there])


def push(
    repo: Repository,
    content: Content,
    remote: str,
    files: Iterable[tuple[str, int]],
    progress: Progress | None = None,
    limit: int = LIMIT,
    again: bool = False,
) -> Report:
    """Make the remote have `files`; what it has is not sent.

    Raises StoreFailed: the remote cannot be reached, or refuses, or has no git-lfs and `limit` is passed.
    """
    wanted = lfs.wanted(files)
    if not wanted:
        return Report()
    place = _place(repo, remote)
    if again:
        known.forget(repo.paths, place)
    there = known.load(repo.paths, place)
    why: errors.Unsupported | None = None
    if not there:  # to find out that there is no git-lfs takes seconds
        try:
            return lfs.push(repo, content, remote, wanted, progress, again)
        except errors.Unsupported as error:
            why = error
    todo = [file for file in wanted if file[0] not in there]
    size = _push_data(repo, content, remote, todo, progress, limit, why)
    known.add(repo.paths, place, [sha256 for sha256, _ in todo])
    return lfs.report(wanted, todo, size)


def pull(
    repo: Repository,
    content: Content,
    remote: str | None,
    files: Iterable[tuple[str, int]],
    progress: Progress | None = None,
    local: bool = True,
) -> Report:
    """Bring what `content` lacks of `files`: from refs/track/data, here (if `local`) or on the remote, else from its
    git-lfs.

    Raises MissingContent (the rest is kept), CorruptContent, StoreFailed.
    """
    wanted = lfs.wanted(files)
    lacking = [file for file in wanted if not content.has(*file)]
    left = _take(DataStore(repo.git, "refs/track/data"), content, lacking, progress) if local else lacking
    if left and remote is not None:
        with desk.desk(repo.git) as at:
            datarefs.fetch_lists(at, remote)
            datarefs.fetch_bytes(at, remote, _needed(at, left))
            left = _take(DataStore(at.git, shown(remote)), content, left, progress)
    if left and remote is not None:
        try:
            lfs.pull(repo, content, remote, left, progress)
        except errors.Unsupported as error:
            if not lfs.installed(repo):
                raise errors.Unsupported(
                    f"{shown(remote)} may have the files by git-lfs, which is not installed here", error.hint
                ) from None
            raise lfs.missing(remote, left) from None
    elif left:
        raise lfs.missing("refs/track/data", left)
    return lfs.report(wanted, lacking)


def _place(repo: Repository, remote: str) -> str:
    """What the note of the objects that a remote has goes by."""
    return f"refs/track/data {remote} {repo.git.call('remote', 'get-url', '--push', remote).out!r}"


def _push_data(
    repo: Repository,
    content: Content,
    remote: str,
    todo: Sequence[File],
    progress: Progress | None,
    limit: int,
    why: errors.Unsupported | None,
) -> int:
    """As git objects; the bytes that were sent. `why` not by git-lfs."""
    if not todo:
        return 0
    held = on_remote(repo, remote)
    lacking = _keys(content, todo, held)
    total = sum(held.values()) + sum(lacking.values())
    if lacking and total > limit:
        raise errors.StoreFailed(
            f"artifacts would take {total:,} bytes of git objects on {shown(remote)}, more than {limit:,}"
            + (f": {why.message}" if why else ""),
            "give them a place of their own, `store: s3://…` (or gs://, az://, file://) in gittrack.yaml, or raise "
            "`embedded_limit` there",
        )
    for batch in map(dict, batches(lacking.items(), BATCH, len(lacking))):
        with desk.desk(repo.git) as at:
            datarefs.send(at, remote, batch, content.store.get)
        if progress:
            progress(sum(batch.values()))
    return sum(lacking.values())


def on_remote(repo: Repository, remote: str) -> dict[str, int]:
    """The keys that lie as git objects on the remote, with their sizes. Raises StoreFailed."""
    with desk.desk(repo.git) as at:
        datarefs.fetch_lists(at, remote)
        return {key: each.size for key, each in datarefs.read_lists(at.git).items()}


def with_lfs(repo: Repository, remote: str) -> set[str]:
    """sha256 of the files that git-lfs has at the remote, as far as this clone knows."""
    with contextlib.suppress(errors.Unsupported, errors.StoreFailed):
        return known.load(repo.paths, lfs.address(repo, remote))
    return set()


def forget(repo: Repository, remote: str) -> None:
    """Forget which files the remote has: it is asked again before the next push."""
    known.forget(repo.paths, _place(repo, remote))


def is_held(held: Mapping[str, int], sha256: str, size: int) -> bool:
    """Whether the file is among these keys."""
    return list_key(sha256) in held or held.get(chunk_key(sha256)) == size


def _keys(content: Content, files: Iterable[File], held: Mapping[str, int]) -> dict[str, int]:
    """What the files need and nobody holds, in their order: chunks, then the list that names them."""
    keys: dict[str, int] = {}
    for sha256, size in files:
        if is_held(held, sha256, size):
            continue
        sizes = {chunk_key(chunk.sha256): chunk.size for chunk in content.chunks(sha256, size)}
        for key in content.objects(sha256, size):
            if key not in held:
                keys[key] = sizes[key] if key in sizes else len(content.store.get(key))
    return keys


def _needed(at: desk.Desk, files: Sequence[File]) -> list[str]:
    """The ids under which lies what the files are made of."""
    with contextlib.closing(DataStore(at.git, "")) as store:
        content = Content(cast(Store, store))
        ids: dict[str, None] = {}
        for file in files:
            with contextlib.suppress(errors.MissingContent):
                for key in content.objects(*file):
                    if key in store.held:
                        ids[store.held[key].id] = None
    return list(ids)


def _take(store: DataStore, content: Content, files: Sequence[File], progress: Progress | None) -> list[File]:
    """Copy what is there into `content`; what is not is returned."""
    left = []
    with contextlib.closing(store), content.storing():
        source = Content(cast(Store, store))
        for file in files:
            try:
                _copy(source, content, file, progress)
            except errors.MissingContent:
                left.append(file)
        content.flush()
    return left


def _copy(source: Content, target: Content, file: File, progress: Progress | None) -> None:
    """Chunk by chunk, so that the copy shares what its like share. The list comes last."""
    for key in source.objects(*file):
        if target.store.size(key) is None:
            data = source.store.get(key)
            if not is_right(key, data):
                raise chunklist.corrupt(file[0], f"{key} in {source.store.url} has other bytes than its name says")
            target.store.put(key, data)
            if progress:
                progress(len(data))
