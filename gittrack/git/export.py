"""The files of a commit, as git would check them out, put anywhere: index, HEAD and work tree of the user stay alone.

git itself converts line ends, runs filters such as git-lfs, and makes links; it does so into a folder that is given, by
an index of our own. What is compared is compared by git, too: a file that only its filter has changed is the same.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gittrack import errors
from gittrack.git.command import Git
from gittrack.git.temporary_index import TemporaryIndex, temporary_index

SUBMODULE = "160000"
_LFS_HELP = "get them: git lfs install && git lfs pull, or `git lfs fetch`, then run the command again"


class Listed(NamedTuple):
    """A file of a commit."""

    path: str
    mode: str
    oid: str
    size: int | None  # as git has it; None for a submodule


def listing(git: Git, commit: str) -> list[Listed]:
    """Every file of `commit`. Raises GitFailed when it is not there."""
    found = []
    for field in git.fields("ls-tree", "-r", "-l", "-z", "--full-tree", commit):
        meta, _, path = field.partition("\t")
        mode, _, oid, size = meta.split()
        found.append(Listed(path, mode, oid, None if size == "-" else int(size)))
    return found


@contextmanager
def opened(git: Git, files: Iterable[Listed], folder: str) -> Iterator[TemporaryIndex]:
    """An index of exactly these files, and `folder` as its work tree."""
    with temporary_index(git) as index:
        there = Place(git, index.path, folder)
        there.run("read-tree", "--empty")
        there.put((one.mode, one.oid, one.path) for one in files)
        yield there


class Place(TemporaryIndex):
    """git commands on an index of our own and a work tree of our choice."""

    def __init__(self, git: Git, path: str, folder: str) -> None:
        super().__init__(Git(git.paths, git.environ, git.executable), path)
        self.git.environ["GIT_WORK_TREE"] = folder


def differing(git: Git, files: Sequence[Listed], folder: str) -> set[str]:
    """The paths of those that are not in `folder` as git would have them, absent ones included."""
    if not files or not os.path.isdir(folder):
        return {one.path for one in files}
    with opened(git, files, folder) as index:
        index.call("update-index", "-q", "--really-refresh")  # exits with 1 where something differs
        return {path for path in os.fsdecode(index.run("diff-files", "--name-only", "-z")).split("\0") if path}


def write(git: Git, files: Sequence[Listed], folder: str) -> str | None:
    """Write `files` into the empty `folder`. Returns a remark when something was left as a pointer of git-lfs.

    Raises GitFailed or what git's message says.
    """
    with opened(git, files, folder) as index:
        return _checked_out(index, ("--all",), None)


def write_paths(git: Git, tree: str, paths: Sequence[str], folder: str) -> str | None:
    """Write these files of `tree` into the empty `folder`, converted as the attributes in the tree say. As `write`."""
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    with opened(git, (), folder) as index:
        index.run("read-tree", "--no-sparse-checkout", tree)
        return _checked_out(index, ("-z", "--stdin"), names)


def _checked_out(index: TemporaryIndex, words: Sequence[str], names: bytes | None) -> str | None:
    try:
        index.run("checkout-index", "--force", "--quiet", *words, input=names)
    except errors.GitFailed as error:
        if "lfs" not in error.message:
            raise
        index.git.environ["GIT_LFS_SKIP_SMUDGE"] = "1"
        index.run("checkout-index", "--force", "--quiet", *words, input=names)
        return f"git-lfs could not get the content of some files, their pointers are in their places; {_LFS_HELP}"
    return None
