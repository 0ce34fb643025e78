"""What differs between HEAD, the index and the work tree, in one git process.

`git status` and not `diff-files` + `ls-files`: it tells HEAD, branch, staged, unstaged, conflicted and submodule states
and untracked names at once, reads the work tree with several threads, and follows the user's excludes. It only reads:
git is told to take no optional lock, so an index.lock of somebody else does not matter.
"""

import os
import re
from typing import NamedTuple

from gittrack.git.command import Git, failure

_ARGUMENTS = (
    # A file system monitor that lags behind would hide an edit, and starting its daemon would leave a process.
    "-c", "core.fsmonitor=false",
    "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--no-renames", "--ignore-submodules=none",
    "--untracked-files=normal",
)  # fmt: skip
_CLOSED_DIRECTORY = re.compile(rb"^warning: could not open directory '(.*)/': (.*)$", re.MULTILINE)


class Change(NamedTuple):
    """A tracked path that is not the same in HEAD, index and work tree. Modes are octal text, 000000 where absent."""

    path: str
    staged: str  # HEAD to index: "." or one of A M D T U
    unstaged: str  # index to work tree
    submodule: str  # "N..." or "S" and then C (other commit), M (modified inside), U (untracked inside)
    head_mode: str
    head_oid: str
    work_mode: str
    conflicted: bool

    @property
    def absent(self) -> bool:
        return self.work_mode == "000000"


class Status(NamedTuple):
    head: str | None
    branch: str | None
    changes: tuple[Change, ...]
    untracked: tuple[str, ...]  # a wholly untracked directory is one entry that ends in "/"
    closed: tuple[tuple[str, str], ...]  # directories that could not be read, with the system's reason
    raw: bytes


def status(git: Git) -> Status:
    """The state of the work tree. Raises what git fails with."""
    result = git.call(*_ARGUMENTS)
    if result.code != 0:
        raise failure(_ARGUMENTS, result.code, result.err, git.paths)
    return parse(result.out, result.err)


def parse(out: bytes, err: bytes = b"") -> Status:
    """Read `git status --porcelain=v2 -z --branch`."""
    head = branch = None
    changes: list[Change] = []
    untracked: list[str] = []
    for line in os.fsdecode(out).split("\0"):
        kind = line[:2]
        if kind == "? ":
            untracked.append(line[2:])
        elif kind == "1 ":
            changes.append(_ordinary(line))
        elif kind == "u ":
            changes.append(_conflicted(line))
        elif line.startswith("# branch.oid "):
            head = None if line.endswith("(initial)") else line[13:]
        elif line.startswith("# branch.head "):
            branch = None if line.endswith("(detached)") else line[14:]
    closed = tuple((os.fsdecode(path), os.fsdecode(why)) for path, why in _CLOSED_DIRECTORY.findall(err))
    return Status(head, branch, tuple(changes), tuple(untracked), closed, out)


def _ordinary(line: str) -> Change:
    _, states, submodule, head_mode, _, work_mode, head_oid, _, path = line.split(" ", 8)
    return Change(path, states[0], states[1], submodule, head_mode, head_oid, work_mode, False)


def _conflicted(line: str) -> Change:
    """Of the three stages, "ours" is what HEAD has."""
    _, states, submodule, _, ours, _, work_mode, _, oid, _, path = line.split(" ", 10)
    return Change(path, states[0], states[1], submodule, ours, oid, work_mode, True)


# What git keeps in its directory while an operation is under way; the first that is there names the state.
_STATES = (
    ("rebase-merge", "rebasing"),
    ("rebase-apply/applying", "applying patches"),
    ("rebase-apply", "rebasing"),
    ("MERGE_HEAD", "merging"),
    ("CHERRY_PICK_HEAD", "cherry-picking"),
    ("REVERT_HEAD", "reverting"),
    ("BISECT_LOG", "bisecting"),
)


def operation(git_dir: str) -> str | None:
    """The git operation that is under way, in a word, or None."""
    return next((word for name, word in _STATES if os.path.exists(os.path.join(git_dir, name))), None)
