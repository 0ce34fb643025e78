"""What the git remote has of files that are shared through it, and whether their bytes there are right."""

import contextlib
from collections.abc import Iterable, Sequence

from gittrack import errors
from gittrack.core import parcels, pointer
from gittrack.git import desk
from gittrack.git import lfs as git_lfs
from gittrack.git.lfs import shown
from gittrack.git.repository import Repository
from gittrack.git.scratch import scratch
from gittrack.runs import embedded, lfs
from gittrack.store.check import Checked
from gittrack.store.content import Content, Progress
from gittrack.store.local import open_local
from gittrack.store.transfer import File, batches


def name(remote: str) -> str:
    """What a remote is called beside the addresses of stores."""
    return f"{shown(remote)} (git remote)"


def lacking(repo: Repository, stores: Sequence[str], files: Iterable[tuple[str, int]], remote: str) -> list[File]:
    """Which of the files the remote does not have, by its own account: no bytes are transferred.

    Raises StoreFailed when it cannot be reached, and Unsupported when with `store: lfs` it has no git-lfs to be asked.
    """
    wanted = lfs.wanted(files)
    if parcels.LFS in stores:
        return _by_lfs(repo, remote, wanted)
    held = embedded.on_remote(repo, remote)
    left = [file for file in wanted if not embedded.is_held(held, *file)]
    with contextlib.suppress(errors.Unsupported):  # then nothing is there that way
        return _by_lfs(repo, remote, left)
    return left


def _by_lfs(repo: Repository, remote: str, files: Sequence[File]) -> list[File]:
    left: list[File] = []
    for batch in batches(files, sum(file.size for file in files), lfs.BATCH_FILES):
        with desk.desk(repo.git) as at:
            absent = git_lfs.lacking(at, remote, {file.sha256: pointer.encode(*file) for file in batch})
        left += [file for file in batch if file.sha256 in absent]
    return left


def check(
    repo: Repository,
    stores: Sequence[str],
    files: Iterable[tuple[str, int]],
    remote: str,
    progress: Progress | None = None,
) -> Checked:
    """Fetch every file from the remote and look at all bytes; a gigabyte at a time lies on this disk for a while."""
    wanted = lfs.wanted(files)
    absent = {*lacking(repo, stores, wanted, remote)}
    there = [file for file in wanted if file not in absent]
    whole: list[File] = []
    for batch in batches(there, lfs.BATCH_BYTES, lfs.BATCH_FILES):
        with scratch(repo.paths.common_dir, "verify") as work:
            whole += _arrived(repo, stores, open_local(work.path), batch, remote, progress)
    right = {*whole}
    damaged = tuple(file for file in there if file not in right)
    lacking(repo, stores, damaged, remote)  # raises where they did not come because the remote is gone meanwhile
    missing = tuple(file for file in wanted if file in absent)
    return Checked(len(whole), sum(file.size for file in whole), missing, damaged)


def _arrived(
    repo: Repository,
    stores: Sequence[str],
    content: Content,
    files: Sequence[File],
    remote: str,
    progress: Progress | None,
) -> list[File]:
    """Those of the files that came, and right. One that is damaged stops the others: then each by itself."""
    try:
        _fetch(repo, stores, content, files, remote, progress)
    except (errors.CorruptContent, errors.MissingContent, errors.StoreFailed):
        if len(files) > 1:
            return [file for one in files for file in _arrived(repo, stores, content, [one], remote, progress)]
    return [file for file in files if _is_right(content, file)]


def _is_right(content: Content, file: File) -> bool:
    try:
        content.verify(*file)
    except (errors.MissingContent, errors.CorruptContent):
        return False
    return True


def _fetch(
    repo: Repository,
    stores: Sequence[str],
    content: Content,
    files: Sequence[File],
    remote: str,
    progress: Progress | None,
) -> None:
    if parcels.LFS in stores:
        lfs.pull(repo, content, remote, files, progress)
    else:
        embedded.pull(repo, content, remote, files, progress, local=False)
