"""Files of runs to a git-lfs remote and back, by the real git-lfs.

The bytes live in chunks in the repository's own content store, where `git lfs prune` has no say. git-lfs wants whole
files: they are put together for the transfer, a batch at a time, in a folder that is gone afterwards.
"""

import os
from collections.abc import Iterable, Sequence

from gittrack import errors
from gittrack.core import pointer
from gittrack.git import desk, lfs
from gittrack.git.repository import Repository
from gittrack.runs import known
from gittrack.store.content import Content, Progress
from gittrack.store.transfer import File, Report, batches

BATCH_BYTES = 1_000_000_000  # whole files that are assembled at once: this much room is taken for a while
BATCH_FILES = 1000


def push(
    repo: Repository,
    content: Content,
    remote: str,
    files: Iterable[tuple[str, int]],
    progress: Progress | None = None,
    again: bool = False,
) -> Report:
    """Upload `files` from `content`; when it returns, the remote has them all.

    `again`: also those that were uploaded from this clone before (git-lfs then asks the remote). Raises Unsupported
    when the remote has no git-lfs, StoreFailed when it cannot be reached, MissingContent, CorruptContent.
    """
    place = address(repo, remote)
    if again:
        known.forget(repo.paths, place)
    there = known.load(repo.paths, place)
    asked = wanted(files)
    todo = [file for file in asked if file[0] not in there]
    for batch in batches(todo, BATCH_BYTES, BATCH_FILES):
        _push_batch(repo, content, remote, batch, progress)
        known.add(repo.paths, place, [sha256 for sha256, _ in batch])
    return report(asked, todo)


def pull(
    repo: Repository, content: Content, remote: str, files: Iterable[tuple[str, int]], progress: Progress | None = None
) -> Report:
    """Download into `content` what it lacks of `files`, verified.

    Raises Unsupported and StoreFailed as `push`, MissingContent for what the remote does not have (the rest is kept)
    and CorruptContent for what is not what its name says.
    """
    asked = wanted(files)
    todo = [file for file in asked if not content.has(*file)]
    for batch in batches(todo, BATCH_BYTES, BATCH_FILES):
        _pull_batch(repo, content, remote, batch, progress)
    return report(asked, todo)


def installed(repo: Repository) -> bool:
    return lfs.version(repo.git) is not None


def address(repo: Repository, remote: str) -> str:
    """Where git-lfs keeps the objects of `remote`. Raises Unsupported where git-lfs is not installed."""
    lfs.needed(repo.git)
    with desk.desk(repo.git) as at:
        return lfs.endpoint(at, remote)


def report(asked: Sequence[File], moved: Sequence[File], sent: int | None = None) -> Report:
    """What a transfer did that did not fail. `sent`: bytes, where these are fewer than the files have."""
    size, new = (sum(file.size for file in files) for files in (asked, moved))
    return Report(
        len(asked), size, len(moved), new if sent is None else sent, (), (), len(asked) - len(moved), size - new
    )


def _push_batch(
    repo: Repository, content: Content, remote: str, batch: Sequence[File], progress: Progress | None
) -> None:
    with desk.desk(repo.git) as at:
        for sha256, size in batch:
            path = lfs.path_of(at, sha256)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            content.copy_to(sha256, size, path)
        counter = _Counter(progress)
        lfs.push(at, remote, [sha256 for sha256, _ in batch], counter)
        counter.finish(sum(size for _, size in batch))


def _pull_batch(
    repo: Repository, content: Content, remote: str, batch: Sequence[File], progress: Progress | None
) -> None:
    with desk.desk(repo.git) as at:
        counter = _Counter(progress)
        failure: errors.StoreFailed | None = None
        try:
            lfs.fetch(at, remote, [pointer.encode(*file) for file in batch], counter)
        except errors.StoreFailed as error:  # some may have come all the same
            failure = error
        absent = [file for file in batch if not _take(content, lfs.path_of(at, file[0]), file)]
        content.flush()
        if absent:
            raise _why(at, remote, absent, failure)
        counter.finish(sum(size for _, size in batch))


def _take(content: Content, path: str, file: File) -> bool:
    """Keep what came. False when nothing came."""
    if not os.path.exists(path):
        return False
    kept = content.put_file(path, durable=False)
    if (kept.sha256, kept.size) != file:
        raise errors.CorruptContent(
            f"the git-lfs object {file[0]} is damaged on the remote: its bytes have the digest {kept.sha256}",
            "push it again from a clone that has it: git track store push --again",
        )
    return True


def _why(
    at: desk.Desk, remote: str, absent: Sequence[File], failure: errors.StoreFailed | None
) -> errors.GittrackError:
    """What to say of files that did not come: that nobody has pushed them is no trouble of the remote's."""
    if failure is None:
        return missing(remote, absent)
    try:
        not_there = lfs.lacking(at, remote, {file.sha256: pointer.encode(*file) for file in absent})
    except errors.GittrackError:  # nor does it answer to that
        return failure
    return missing(remote, absent) if len(not_there) == len(absent) else failure


def missing(remote: str, absent: Sequence[File]) -> errors.MissingContent:
    """The error for what a remote does not have."""
    more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
    hint = "nobody has pushed it: run `git track store push` in the clone that recorded the run"
    return errors.MissingContent(f"{lfs.shown(remote)} does not have the file with sha256 {absent[0][0]}{more}", hint)


def wanted(files: Iterable[tuple[str, int]]) -> list[File]:
    """Each once. An empty file needs no bytes."""
    return [File(*file) for file in dict.fromkeys(files) if file[1]]


class _Counter:
    """Passes progress on, and adds what git-lfs does not report: files of `file://`, and those that are there."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._told = 0

    def __call__(self, size: int) -> None:
        self._told += size
        if self._progress:
            self._progress(size)

    def finish(self, size: int) -> None:
        if self._progress and self._told < size:
            self._progress(size - self._told)
