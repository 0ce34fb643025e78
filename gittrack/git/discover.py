"""Where the repository is, found without starting git.

`git rev-parse` costs 2 ms and a process; every command needs the answer first, and `git track ls` on a warm index needs
nothing else. So git's own rules (setup.c) are followed here, with the real git as the oracle of the tests. Whether the
owner of the repository may be trusted (safe.directory) stays git's business: see command.py.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.git import configfile


class Paths(NamedTuple):
    """Absolute, without symbolic links. Refs and objects are in `common_dir`: git_dir, but for linked worktrees."""

    git_dir: str
    common_dir: str
    worktree: str | None


class Format(NamedTuple):
    """What kind of repository it is, as far as it decides which backend can open it."""

    algorithm: str  # sha1, sha256
    refs: str  # files, reftable
    partial: bool
    extensions: frozenset[str]  # all of them, lower case


def discover(start: str, environ: Mapping[str, str]) -> Paths:
    """The repository that git would use in directory `start`. Raises NotARepository."""
    here = os.path.realpath(start)
    explicit = environ.get("GIT_DIR")
    if explicit:
        given = os.path.join(here, explicit)
        git_dir = _through_file(given) if os.path.isfile(given) else os.path.realpath(given)
        found = git_dir if _is_git_dir(git_dir, environ) else None
        if found is None:
            raise errors.NotARepository(f"GIT_DIR={explicit} is not a git repository", "unset GIT_DIR, or correct it")
        return _paths(found, here, here, environ)
    return _walk(here, environ)


def repository_format(paths: Paths) -> Format:
    """Read from the config file itself, as git does: extensions in included files do not count."""
    values = configfile.read(os.path.join(paths.common_dir, "config"))
    extensions = frozenset(key[11:] for key in values if key.startswith("extensions."))
    return Format(
        algorithm=values.get("extensions.objectformat", "sha1").lower(),
        refs=values.get("extensions.refstorage", "files").lower(),
        partial="partialclone" in extensions or any(_is_promisor(key, values[key]) for key in values),
        extensions=extensions,
    )


def _is_promisor(key: str, value: str) -> bool:
    """`remote.<name>.promisor`: what git writes for a partial clone since 2.24, in place of the extension."""
    return key.startswith("remote.") and key.endswith(".promisor") and configfile.is_true(value)


def _walk(here: str, environ: Mapping[str, str]) -> Paths:
    ceilings = {os.path.realpath(path) for path in environ.get("GIT_CEILING_DIRECTORIES", "").split(":") if path}
    across = environ.get("GIT_DISCOVERY_ACROSS_FILESYSTEM", "").lower() in ("1", "true", "yes", "on")
    device = _device(here)
    directory = here
    while True:
        dot_git = os.path.join(directory, ".git")
        if os.path.isfile(dot_git):
            return _paths(_through_file(dot_git), directory, None, environ)
        if os.path.isdir(dot_git) and _is_git_dir(dot_git, environ):
            return _paths(os.path.realpath(dot_git), directory, None, environ)
        if _is_git_dir(directory, environ):
            return _paths(directory, None, None, environ)
        parent = os.path.dirname(directory)
        if parent == directory or parent in ceilings or not (across or _device(parent) == device):
            raise errors.NotARepository(
                f"{here} is not in a git repository", "run `git init` first, or change to the directory of your project"
            )
        directory = parent


def _paths(git_dir: str, beside: str | None, current: str | None, environ: Mapping[str, str]) -> Paths:
    """`beside`: the directory that holds `.git`; `current`: the work tree when GIT_DIR alone is given."""
    common, linked = _common_dir(git_dir, environ)
    values = configfile.read(os.path.join(common, "config"))
    if configfile.is_true(values.get("extensions.worktreeconfig")):
        values.update(configfile.read(os.path.join(git_dir, "config.worktree")))
        linked = False
    if linked:  # the main repository's core.bare and core.worktree say nothing about a linked worktree
        values = {}
    given = environ.get("GIT_WORK_TREE")
    if given:
        worktree: str | None = os.path.realpath(os.path.join(current or beside or git_dir, given))
    elif "core.worktree" in values:
        worktree = os.path.realpath(os.path.join(git_dir, values["core.worktree"]))
    elif configfile.is_true(values.get("core.bare")):
        worktree = None
    else:
        worktree = beside if current is None else current
    return Paths(git_dir, common, worktree)


def _common_dir(git_dir: str, environ: Mapping[str, str]) -> tuple[str, bool]:
    given = environ.get("GIT_COMMON_DIR")
    if given:
        return os.path.realpath(given), True
    target = _first_line(os.path.join(git_dir, "commondir"))
    return (os.path.realpath(os.path.join(git_dir, target)), True) if target else (git_dir, False)


def _is_git_dir(path: str, environ: Mapping[str, str]) -> bool:
    """A valid HEAD, objects and refs: what git asks for."""
    head = os.path.join(path, "HEAD")
    if os.path.islink(head):
        valid = os.readlink(head).startswith("refs/")
    else:
        text = _first_line(head) or ""
        valid = (text.startswith("ref:") and text[4:].strip().startswith("refs/")) or _is_hex(text)
    if not valid:
        return False
    common, _ = _common_dir(path, environ)
    objects = environ.get("GIT_OBJECT_DIRECTORY") or os.path.join(common, "objects")
    return os.path.isdir(objects) and os.path.isdir(os.path.join(common, "refs"))


def _through_file(dot_git: str) -> str:
    """The directory that a `.git` file (linked worktree, submodule) leads to."""
    text = _first_line(dot_git) or ""
    if not text.startswith("gitdir: "):
        raise errors.NotARepository(f"{dot_git} is not a `gitdir:` file", "remove it, or clone again")
    target = os.path.realpath(os.path.join(os.path.dirname(dot_git), text[8:]))
    if not _is_git_dir(target, {}):
        raise errors.NotARepository(
            f"{dot_git} leads to {target}, which is not a git repository",
            "if the main repository was moved, run `git worktree repair` there",
        )
    return target


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read(4096).rstrip("\r\n")
    except OSError:
        return None


def _is_hex(text: str) -> bool:
    return len(text) in (40, 64) and not set(text) - set("0123456789abcdef")


def _device(path: str) -> int:
    try:
        return os.stat(path).st_dev
    except OSError as error:
        raise errors.NotARepository(
            f"{path} cannot be read: {error.strerror}", "change to another directory"
        ) from error
