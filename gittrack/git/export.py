"""The files of a commit, as git would check them out, put anywhere: index, HEAD and work tree of the user stay alone.

git itself converts line ends, runs filters such as git-lfs, and makes links; it does so into a folder that is given, by
an index of our own. What is compared is compared by git, too: a file that only its filter has changed is the same.
How files are converted is said by the `.gitattributes` of their commit (`rules`), be they among what is written or not.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gittrack import errors
from gittrack.git.command import Git
from gittrack.git.temporary_index import TemporaryIndex, temporary_index

SUBMODULE = "160000"
_FILES = ("100644", "100755")
_CONVERTING = ("text", "eol", "crlf", "ident", "filter", "working-tree-encoding")  # attributes by which content differs
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


def rules(files: Iterable[Listed]) -> list[Listed]:
    """Those of the files of a commit that say how the others are converted."""
    return [one for one in files if one.path.rpartition("/")[2] == ".gitattributes" and one.mode in _FILES]


def differing(git: Git, files: Sequence[Listed], folder: str, rules: Sequence[Listed] | None = None) -> set[str]:
    """The paths of those that are not in `folder` as git would have them, absent ones included. Where `rules` are
    given, also of those of which it cannot be told, since the `.gitattributes` in `folder` convert them otherwise."""
    if not files or not os.path.isdir(folder):
        return {one.path for one in files}
    with opened(git, _together(rules or (), files), folder) as index:
        index.call("update-index", "-q", "--really-refresh")  # exits with 1 where something differs
        found = {path for path in os.fsdecode(index.run("diff-files", "--name-only", "-z")).split("\0") if path}
        if rules is not None:
            found |= _converted_otherwise(index, _named(one.path for one in files))
        return {one.path for one in files} & found


def _converted_otherwise(index: TemporaryIndex, names: bytes) -> set[str]:
    """Of these files those of which the index and the work tree have different rules."""
    said = [
        index.run("check-attr", "-z", "--stdin", *where, *_CONVERTING, input=names).split(b"\0")
        for where in ((), ("--cached",))
    ]
    here, meant = (zip(fields[::3], fields[2::3], strict=False) for fields in said)
    return {os.fsdecode(path) for (path, value), (_, other) in zip(here, meant, strict=True) if value != other}


def write(git: Git, files: Sequence[Listed], folder: str, rules: Iterable[Listed] = ()) -> str | None:
    """Write `files` into the empty `folder`. Returns a remark when something was left as a pointer of git-lfs.

    Raises GitFailed or what git's message says.
    """
    with opened(git, _together(rules, files), folder) as index:
        return _checked_out(index, _named(one.path for one in files))


def write_paths(git: Git, tree: str, paths: Sequence[str], folder: str) -> str | None:
    """Write these files of `tree` into the empty `folder`, converted as the attributes in the tree say. As `write`."""
    with opened(git, (), folder) as index:
        index.run("read-tree", "--no-sparse-checkout", tree)
        return _checked_out(index, _named(paths))


def _together(rules: Iterable[Listed], files: Iterable[Listed]) -> Iterable[Listed]:
    return {one.path: one for one in (*rules, *files)}.values()


def _named(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _checked_out(index: TemporaryIndex, names: bytes) -> str | None:
    words = ("checkout-index", "--force", "--quiet", "-z", "--stdin")
    try:
        index.run(*words, input=names)
    except errors.GitFailed as error:
        if "lfs" not in error.message:
            raise
        index.git.environ["GIT_LFS_SKIP_SMUDGE"] = "1"
        index.run(*words, input=names)
        return f"git-lfs could not get the content of some files, their pointers are in their places; {_LFS_HELP}"
    return None
