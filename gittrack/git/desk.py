"""A repository for one transfer: empty but for the user's settings, which it includes, and removed afterwards.

What goes through it never becomes the user's: no objects, refs, notes in settings or copies that would have to be told
from his own and taken away again, not even when the transfer is killed.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gittrack.git import loose
from gittrack.git.command import Git
from gittrack.git.discover import Paths, repository_format
from gittrack.git.scratch import scratch

# fetchrecent would fetch what nobody asked for; git-lfs writes the version where there is none, and asks an sshd six
# times for git-lfs-authenticate before it believes that it has none.
_LFS = """[lfs]
\tstorage = {folder}
\trepositoryformatversion = 0
\tfetchrecentalways = false
\tallowincompletepush = false
[lfs "ssh"]
\tretries = 1
"""
# Chunks of weights neither compress nor resemble each other.
_PACKS = """[core]
\tbigFileThreshold = 1k
\tcompression = 0
[pack]
\tcompression = 0
\twindow = 0
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""


class Desk(NamedTuple):
    """`git` works on the desk, `users` on the user's repository."""

    git: Git
    users: Git
    folder: str
    lock: int  # held also by what is started to transfer: the desk stays until that has ended, whatever happens to us


@contextlib.contextmanager
def desk(git: Git) -> Iterator[Desk]:
    """An empty one beside the repository of `git`. Raises CannotWrite."""
    git.run("rev-parse", "--git-dir")  # the desk is named by GIT_DIR, and then git does not ask whose the settings are
    with scratch(git.paths.common_dir, "desk") as work:
        try:
            for name in ("objects", "refs", "lfs"):
                os.mkdir(os.path.join(work.path, name))
            _write(os.path.join(work.path, "HEAD"), "ref: refs/heads/none\n")
            _write(os.path.join(work.path, "config"), _settings(git.paths, work.path))
        except OSError as error:
            raise loose.cannot_write(error, work.path) from error
        paths = Paths(work.path, work.path, git.paths.worktree)  # .lfsconfig stands in the work tree
        environ = {key: value for key, value in git.environ.items() if not key.startswith("GIT_COMMON")}
        own = Git(paths, {**environ, "GIT_DIR": work.path}, git.executable)
        yield Desk(own, git, work.path, work.lock)


def borrow(at: Desk) -> None:
    """Let the desk read the objects of the repository."""
    for part in ("info", "pack"):
        os.makedirs(os.path.join(at.folder, "objects", part), exist_ok=True)
    _write(
        os.path.join(at.folder, "objects", "info", "alternates"),
        os.path.join(at.users.paths.common_dir, "objects") + "\n",
    )


def take(at: Desk) -> None:
    """What came to the desk are objects of the repository from now on. Raises CannotWrite."""
    ours = os.path.join(at.users.paths.common_dir, "objects")
    for folder, _, names in os.walk(os.path.join(at.folder, "objects")):
        part = os.path.basename(folder)
        if part != "pack" and len(part) != 2:
            continue
        try:
            os.makedirs(os.path.join(ours, part), exist_ok=True)
            for each in sorted(names, key=lambda each: each.endswith(".idx")):  # by which a pack is found
                os.replace(os.path.join(folder, each), os.path.join(ours, part, each))
        except OSError as error:
            raise loose.cannot_write(error, ours) from error


def name(at: Desk, refs: Mapping[str, str]) -> None:
    """Make these refs of the desk, ref -> oid, and no others."""
    lines = "".join(f"{oid} {ref}\n" for ref, oid in sorted(refs.items()))
    _write(os.path.join(at.folder, "packed-refs"), f"# pack-refs with: sorted \n{lines}")


def _settings(paths: Paths, folder: str) -> str:
    """The user's, and then what must hold here."""
    form = "\trepositoryformatversion = 0\n"
    if repository_format(paths).algorithm == "sha256":
        form = "\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
    users = _quoted(os.path.join(paths.common_dir, "config"))
    bare = "false" if paths.worktree else "true"
    own = f"[core]\n\tbare = {bare}\n" + _PACKS + _LFS.format(folder=_quoted(os.path.join(folder, "lfs")))
    return f"[core]\n{form}[include]\n\tpath = {users}\n{own}"


def _quoted(text: str) -> str:
    """As a value in a file of git's settings."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
