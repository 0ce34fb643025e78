"""What a commit would add: the staged files, read from the index and never from the work tree.

A merge adds what none of its parents has; the rest was committed, and judged, elsewhere. The pre-commit framework may
ask for other files than those staged: for all of them, or for those between two commits.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gittrack.git.command import Git
from gittrack.hook.place import Place

# A user's settings must not change what `git diff` prints.
_PLAIN = (
    "-c", "core.quotePath=false", "-c", "diff.relative=false", "-c", "core.fsmonitor=false",
    "-c", "diff.suppressBlankEmpty=false",
)  # fmt: skip
_GITHEAD = "GITHEAD_"
_MERGES = re.compile(_GITHEAD + r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FILES = ("100644", "100755")
_MOST_PATHS = 2000


class Scope(NamedTuple):
    """What is to be looked at: only what shows in each of these comparisons."""

    comparisons: tuple[tuple[str, ...], ...]  # arguments of `git diff`
    paths: tuple[str, ...] = ()  # only these; empty: all


class Change(NamedTuple):
    """One file with new content."""

    path: str
    oid: str


def scope(place: Place, files: Sequence[str]) -> Scope:
    """`files`: those that the pre-commit framework names; without it, none."""
    begin, end = (place.environ.get(f"PRE_COMMIT_{name}_REF") for name in ("FROM", "TO"))
    if begin and end:
        return Scope(((begin, end),), tuple(files))
    if files and not _anything_staged(place):  # pre-commit run --all-files
        empty = place.git.run("hash-object", "-t", "tree", "--stdin", input=b"").decode().strip()
        return Scope((("--cached", empty),), tuple(files))
    return _against(_merged(place.paths.git_dir), files)


def scope_of_merge(place: Place) -> Scope:
    """Of a merge without conflicts: git names what is merged only in the environment, and writes MERGE_HEAD later."""
    return _against([name[len(_GITHEAD) :] for name in place.environ if _MERGES.fullmatch(name)], ())


def _against(merged: Sequence[str], files: Sequence[str]) -> Scope:
    """What is in none of the parents."""
    return Scope((("--cached",), *(("--cached", oid) for oid in merged)), tuple(files))


def changes(place: Place, wanted: Scope) -> list[Change]:
    """Files that are new, or whose content is: none that was only renamed or deleted, no links, no submodules."""
    found: set[Change] | None = None
    for comparison in wanted.comparisons:
        words = ("--raw", "-z", "--no-abbrev", "-M100%", "--diff-filter=AMRT", "--ignore-submodules=all")
        some = set(_parsed(place.git.fields(*_command(wanted, comparison, words), env=place.index_env)))
        found = some if found is None else found & some
    return sorted(found or ())


def patch_command(wanted: Scope, comparison: tuple[str, ...], without: Sequence[str], *more: str) -> list[str]:
    """Arguments for git: the changes as a patch, one line of context, binary files only named."""
    words = (
        "-U1", "-M", "-l300", "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short", "--src-prefix=a/",
        "--dst-prefix=b/", "--diff-filter=AMRT", "--ignore-submodules=all", "--diff-algorithm=myers", *more,
    )  # fmt: skip
    return _command(wanted, comparison, words, without)


def binary(place: Place, wanted: Scope, comparison: tuple[str, ...]) -> list[str]:
    """The changed files that git takes for binary ones."""
    words = ("--numstat", "-z", "--no-renames", "--diff-filter=AMT", "--ignore-submodules=all")
    rows = (
        field.split("\t", 2) for field in place.git.fields(*_command(wanted, comparison, words), env=place.index_env)
    )
    return [row[2] for row in rows if row[:2] == ["-", "-"]]


def base(comparison: tuple[str, ...]) -> str:
    """What is compared with."""
    if comparison[0] == "--cached":
        return comparison[1] if len(comparison) > 1 else "HEAD"
    return comparison[0]


def sizes(git: Git, oids: Sequence[str], env: Mapping[str, str]) -> dict[str, int]:
    """Of the blobs that are there."""
    if not oids:
        return {}
    asked = "\n".join(dict.fromkeys(oids)).encode() + b"\n"
    found = git.lines("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", "--buffer",
                      input=asked, env=env)  # fmt: skip
    rows = [line.split() for line in found]
    return {row[0]: int(row[2]) for row in rows if len(row) == 3 and row[1] == "blob"}


def _command(
    wanted: Scope, comparison: tuple[str, ...], words: tuple[str, ...], without: Sequence[str] = ()
) -> list[str]:
    only = [f":(top,literal){path}" for path in wanted.paths] if len(wanted.paths) <= _MOST_PATHS else []
    left_out = [f":(exclude,top,literal){path}" for path in without]
    return [*_PLAIN, "diff", *words, *comparison, "--", *(only or ([":(top)"] if left_out else [])), *left_out]


def _parsed(fields: list[str]) -> list[Change]:
    found = []
    at = 0
    while at + 1 < len(fields):
        _, mode, old, new, status = fields[at].lstrip(":").split()
        renamed = status[0] == "R"
        path = fields[at + 1 + renamed]
        at += 2 + renamed
        if mode in _FILES and old != new and new.strip("0"):
            found.append(Change(path, new))
    return found


def _anything_staged(place: Place) -> bool:
    return place.git.call("diff", "--cached", "--quiet", "--ignore-submodules=all", env=place.index_env).code == 1


def _merged(git_dir: str) -> list[str]:
    """The commits that are being merged into HEAD."""
    try:
        with open(os.path.join(git_dir, "MERGE_HEAD")) as file:
            return file.read().split()
    except FileNotFoundError:
        return []
