"""Hooks put into a repository beside those that are there, and taken out again so that nothing is left of them.

A hook of the user's is never changed: it gets another name, ours calls it, and uninstalling gives it its name back, the
same file with the same mode and times. Where hooks are is git's answer: `core.hooksPath` may lead into the work tree,
as husky's does, where they are everybody's, or to a folder that serves all repositories of a user.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git.command import Git
from gittrack.git.hook_script import KEPT, NAMES, PRE_COMMIT, PROGRAM, is_ours, is_unchanged, program_of, script

__all__ = ["KEPT", "NAMES", "PROGRAM"]

CLONE, ELSEWHERE, TREE = "clone", "elsewhere", "tree"  # whose the folder is
ABSENT, OURS, EDITED, FOREIGN = "absent", "ours", "edited", "foreign"
FRAMEWORK, LEGACY = "pre-commit", "called by pre-commit"  # the framework's script; ours behind it
WRITE, RENEW, CHAIN, LEAVE, BLOCKED = "write", "renew", "chain", "leave", "blocked"


class Folder(NamedTuple):
    """Where git looks for hooks."""

    path: str
    whose: str
    by_sh: bool = False  # husky runs its files by sh, executable or not
    origin: str = ""  # where core.hooksPath was set


class Hook(NamedTuple):
    """One hook as it is."""

    name: str
    path: str
    state: str
    kept: str | None  # the user's own, set aside
    program: str | None  # of ours: what it calls


class Step(NamedTuple):
    """What installing or uninstalling does about one hook."""

    hook: Hook
    action: str
    text: str = ""  # for WRITE, RENEW and CHAIN: the new script


def folder(git: Git) -> Folder:
    """Raises GitFailed."""
    path = os.path.realpath(os.path.join(git.directory, os.fsdecode(git.run("rev-parse", "--git-path", "hooks"))[:-1]))
    found = git.call("config", "--show-origin", "--path", "--get", "core.hooksPath")
    origin = os.fsdecode(found.out).partition("\t")[0].removeprefix("file:") if found.code == 0 else ""
    tree = git.paths.worktree
    if _inside(path, git.paths.common_dir):  # `.git/hooks` itself may be a link that leads elsewhere
        return Folder(path, CLONE)
    if tree is None or not _inside(path, tree):
        return Folder(path, ELSEWHERE, origin=origin)
    if os.path.basename(path) == "_" and os.path.exists(os.path.join(path, "h")):  # husky 9: `_` is made anew at will
        return Folder(os.path.dirname(path), TREE, True, origin)
    return Folder(path, TREE, os.path.exists(os.path.join(path, "_", "husky.sh")), origin)


def look(place: Folder, names: Sequence[str] = NAMES) -> list[Hook]:
    """How each hook is. Raises CannotWrite when the folder cannot be read."""
    return [_look(place, name) for name in names]


def to_install(place: Folder, found: Sequence[Hook], program: str, chain: bool = False) -> list[Step]:
    """What has to be done. `chain`: also beside the pre-commit framework, which has a way of its own to call us."""
    steps = []
    for hook in found:
        text = script(hook.name, program, place.by_sh)
        steps.append(Step(hook, _installing(hook, text, chain), text))
    return steps


def to_uninstall(found: Sequence[Hook]) -> list[Step]:
    """An edited script of ours is left: somebody put work into it."""
    actions = {OURS: WRITE, LEGACY: WRITE, EDITED: BLOCKED}
    return [Step(hook, actions.get(hook.state, BLOCKED if hook.kept else LEAVE)) for hook in found]


def install(place: Folder, steps: Sequence[Step]) -> None:
    """Write what the plan says; between any two instructions the user's hook or ours stands there. Raises
    CannotWrite."""
    if steps and os.path.lexists(place.path) and not os.path.isdir(place.path):  # core.hooksPath=/dev/null
        raise errors.CannotWrite(
            f"hooks are turned off here: git looks for them in {place.path}, which is no folder",
            "git config --unset core.hooksPath" if place.origin else f"remove {place.path}",
        )
    with _said(place.path):
        os.makedirs(place.path, exist_ok=True)
        for step in steps:
            if step.action == CHAIN:
                _link(step.hook.path, step.hook.path + KEPT)
            if step.action in (WRITE, RENEW, CHAIN):
                _write(step.hook.path, step.text)


def uninstall(steps: Sequence[Step]) -> None:
    """Give each name back to whom it belonged. Raises CannotWrite."""
    for step in steps:
        if step.action == WRITE:
            path = step.hook.path + (".legacy" if step.hook.state == LEGACY else "")
            with _said(path):
                if step.hook.kept:
                    os.replace(step.hook.kept, path)
                else:
                    os.unlink(path)


def _look(place: Folder, name: str) -> Hook:
    path = os.path.join(place.path, name)
    kept = path + KEPT if os.path.lexists(path + KEPT) else None
    data = _read(path)
    if data is None:
        return Hook(name, path, ABSENT, kept, None)
    if is_ours(data):
        return Hook(name, path, OURS if is_unchanged(data) else EDITED, kept, program_of(data))
    legacy = _read(path + ".legacy")
    if legacy and is_ours(legacy) and PRE_COMMIT.encode() in data:
        return Hook(name, path, LEGACY, kept, program_of(legacy))
    return Hook(name, path, FRAMEWORK if PRE_COMMIT.encode() in data else FOREIGN, kept, None)


def _installing(hook: Hook, text: str, chain: bool) -> str:
    if hook.state == OURS:
        return LEAVE if _read(hook.path) == text.encode() else RENEW
    if hook.state == ABSENT:
        return BLOCKED if hook.kept else WRITE
    if hook.state == FRAMEWORK and not chain:
        return LEAVE
    if hook.state in (FOREIGN, FRAMEWORK):
        return CHAIN if hook.kept is None or _is_same(hook.kept, hook.path) else BLOCKED
    return BLOCKED if hook.state == EDITED else LEAVE


def _is_same(kept: str, path: str) -> bool:
    """Whether a call that was killed had come as far as giving the user's hook its second name."""
    return os.path.samestat(os.lstat(kept), os.lstat(path))


def _read(path: str) -> bytes | None:
    """None: nothing is there. What cannot be read, or is a link that leads nowhere, is somebody's all the same."""
    if not os.path.lexists(path):
        return None
    try:
        with open(path, "rb") as file:
            return file.read(100_000)
    except OSError:
        return b""


def _link(path: str, kept: str) -> None:
    """A second name for the user's hook, before the first is taken; where there are no hard links, the only one."""
    if os.path.lexists(kept):
        return  # a call that was killed had come this far
    try:
        os.link(path, kept, follow_symlinks=False)
    except OSError:
        os.rename(path, kept)


def _write(path: str, text: str) -> None:
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            mode = os.fstat(file.fileno()).st_mode
            os.fchmod(file.fileno(), mode | (mode & 0o444) >> 2 | stat.S_IXUSR)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _inside(path: str, place: str) -> bool:
    return os.path.commonpath((path, place)) == place


@contextlib.contextmanager
def _said(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot write hooks in {path}: {error.strerror}", "check the permissions and the free space there"
        ) from error
