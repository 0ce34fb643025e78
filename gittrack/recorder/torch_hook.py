"""Keeps what `torch.save` writes, without a line changed in the program: its files become artifacts of the run.

`torch.save` is wrapped, and only looked at: the file is copied when it has returned. What counts is a file of the
project, below the current directory or in the run's work tree: temporary files, buffers and pipes are the program's own
business. GITTRACK_AUTOLOG=0 switches it off; GITTRACK_ARTIFACTS too, or says by patterns which files are meant.
"""

from __future__ import annotations

import os
import sys
from stat import S_ISREG

from . import logged
from .complain import complain
from .importing import when_loaded
from .opening import ARTIFACTS, RUN_DIR, open_journal
from .wrapping import is_wrapped, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OFF, _ON = ("0", "false", "no", "off"), ("", "1", "true", "yes", "on")
_saving: set[int] = set()


def watch() -> None:
    """Install the hook when torch is loaded, unless the environment says no. May be called twice."""
    if os.environ.get("GITTRACK_AUTOLOG", "1").lower() not in _OFF:
        when_loaded("torch", install)


def install() -> None:
    """Wrap `torch.save`, unless the environment says no. May be called twice."""
    save = getattr(sys.modules["torch"], "save", None)  # another module may have that name
    if _wanted() is None or save is None:
        return
    if not is_wrapped(save):
        watched = wrapped(save, _saving, _saved)
        module = sys.modules.get(save.__module__)
        if getattr(module, "save", None) is save:  # torch.serialization: where pickle looks for it
            module.save = watched  # type: ignore[union-attr]
        sys.modules["torch"].save = watched  # type: ignore[attr-defined]


def _saved(_result: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    target = named.get("f", args[1] if len(args) > 1 else None)
    if isinstance(target, (str, os.PathLike)):
        _keep(target)


def _keep(target: Any) -> None:
    try:
        run_dir = os.environ.get(RUN_DIR, "")
        patterns = _wanted()
        if not run_dir or patterns is None:
            return
        path = os.fspath(target)
        name = _name(os.path.realpath(path), os.path.realpath(run_dir))
        if name is None or not S_ISREG(os.stat(path).st_mode) or not _fits(name, patterns):
            return
        journal = open_journal(quiet=True)
        if journal is not None:
            logged.file(journal, path, name, "torch", journal.last_step())
    except Exception as error:  # noqa: BLE001 - what the program saved is saved, whatever is wrong with its tracker
        complain("torch.save", f"a file that torch.save wrote was not kept: {error}", error)


def _wanted() -> tuple[str, ...] | None:
    """Patterns of the files to keep, none for all; None: no file."""
    text = os.environ.get(ARTIFACTS, "").strip()
    if text.lower() in _OFF:
        return None
    return () if text.lower() in _ON else tuple([part.strip() for part in text.replace(":", ",").split(",") if part])


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    """A pattern without a slash is one of base names."""
    match = __import__("fnmatch").fnmatchcase  # torch has loaded it; a program without torch shall not pay for it
    base = os.path.basename(name)
    return not patterns or any(match(name if "/" in pattern else base, pattern) for pattern in patterns)


def _name(path: str, run_dir: str) -> str | None:
    """The file as seen from the current directory, or from the top of the work tree; None when it lies elsewhere."""
    common = os.path.dirname(os.path.dirname(os.path.dirname(run_dir)))  # <common>/track/live/<id>
    if not os.path.exists(os.path.join(common, "HEAD")):  # the folder was brought from elsewhere
        common = run_dir
    if _is_in(path, common):
        return None
    here = os.path.realpath(os.getcwd())
    if here != "/" and _is_in(path, here):
        return os.path.relpath(path, here)
    folder = os.path.dirname(path)
    while folder != os.path.dirname(folder):
        if _is_top(os.path.join(folder, ".git"), common):
            return os.path.relpath(path, folder)
        folder = os.path.dirname(folder)
    return None


def _is_top(git: str, common: str) -> bool:
    """Whether this `.git` is that of the run's repository: the directory itself, or a linked work tree's file."""
    if os.path.isdir(git):
        return os.path.realpath(git) == common
    try:
        with open(git, encoding="utf-8", errors="surrogateescape") as file:
            named = file.read(4096).partition("gitdir:")[2].strip()
    except OSError:  # not there
        return False
    place = os.path.realpath(os.path.join(os.path.dirname(git), named))
    return bool(named) and (place == common or _is_in(place, os.path.join(common, "worktrees")))


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))
