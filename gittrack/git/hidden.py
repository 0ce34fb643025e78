"""Edits that the user told git not to look at: `update-index --assume-unchanged` and `--skip-worktree`.

git status is silent about them, but they are the code that runs. A file that is absent because of a sparse checkout is
no edit.
"""

import os
import subprocess
from typing import NamedTuple

from gittrack.git.command import Git, failure
from gittrack.git.temporary_index import temporary_index

_LIST = ("-c", "core.fsmonitor=false", "ls-files", "-v", "-z")


class Hidden(NamedTuple):
    path: str
    mode: str  # in the index
    oid: str
    absent: bool


def start_listing(git: Git) -> "subprocess.Popen[bytes]":
    """Begin to list the index, so that git status can run at the same time."""
    return git.popen(*_LIST)


def flagged(git: Git, listing: "subprocess.Popen[bytes]", worktree: str) -> tuple[str, ...]:
    """Paths that carry such a mark, as far as a file is there or git would expect one."""
    with listing:
        out, err = listing.communicate()
    if listing.returncode != 0:
        raise failure(_LIST, listing.returncode, err, git.paths)
    if out.count(b"\0H ") + out.startswith(b"H ") == out.count(b"\0"):
        return ()  # the rule: 20,000 plain entries are counted in 0.3 ms and parsed in 5
    marked = []
    for field in out.split(b"\0"):
        sparse = field[:1] in (b"S", b"s")
        if sparse or field[:1].islower():
            path = os.fsdecode(field[2:])
            if not sparse or os.path.lexists(os.path.join(worktree, path)):
                marked.append(path)
    return tuple(marked)


def edits(git: Git, paths: tuple[str, ...]) -> tuple[Hidden, ...]:
    """Those of the marked paths that differ from the index."""
    with temporary_index(git) as index:
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        index.run("update-index", "--no-assume-unchanged", "-z", "--stdin", input=names)
        index.run("update-index", "--no-skip-worktree", "-z", "--stdin", input=names)
        fields = os.fsdecode(index.run("diff-files", "-z", "--no-renames")).split("\0")
    wanted = set(paths)
    found = []
    for meta, path in zip(fields[0::2], fields[1::2], strict=False):
        mode, work_mode, oid, _, _ = meta[1:].split(" ")
        if path in wanted:
            found.append(Hidden(path, mode, oid, work_mode == "000000"))
    return tuple(found)
