"""The hooks around a commit's message: a commit that is what a run was made of says so, `Track-Run: <id>`.

git adds such lines for `--signoff` in the same place, before the editor; but it knows that a message of that line alone
is an empty one, and aborts. Of ours it does not know, so the commit-msg hook empties such a message again.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gittrack.git.command import Git
from gittrack.hook.place import Place, here
from gittrack.lazy import lazy
from gittrack.runs.links import TRAILER, named

if TYPE_CHECKING:
    from gittrack.git.hooks import Hook

_NOT_OURS = ("merge", "squash")  # what `git commit` says of where the message comes from
_EDITED = ("", "template")
_SCISSORS = rb"(?m)^.{1,9} -+ >8 -+$"


def prepare(environ: Mapping[str, str], args: Sequence[str]) -> bool:
    """`args`: the file, where its text comes from, and for amended commits which one. Raises GittrackError, OSError."""
    path = args[0]
    source = args[1] if len(args) > 1 else environ.get("PRE_COMMIT_COMMIT_MSG_SOURCE", "")
    if source in _NOT_OURS:
        return False
    place = here(environ)
    if not place.tracked:
        return False
    if place.is_rebasing:
        return False
    tree = _tree(place)
    run = lazy("gittrack.hook.runs_here").of_tree(place, tree) if tree else None
    if run is None:
        return False
    with open(path, "rb") as file:
        message = file.read()
    if run in named(message):
        return False
    if source == "template" and not _is_empty(place.git, message):
        _remark(place, path, message, run)  # git makes no commit of a template that is left as it is
    elif _is_empty(place.git, message):
        _begin(place, path, message, run, source)
    else:
        _add(place.git, path, run)
    return False


def check(environ: Mapping[str, str], args: Sequence[str]) -> bool:
    """Empty a message in which nobody has written anything: then git makes no commit of it."""
    with open(args[0], "rb") as file:
        message = file.read()
    rest = re.sub(rf"(?im)^{TRAILER}:.*\n?".encode(), b"", message)
    if rest != message and _is_empty(here(environ).git, rest):
        with open(args[0], "wb") as file:
            file.write(rest)
    return False


def _tree(place: Place) -> str | None:
    """The tree that is being committed. git has written it already; the index is copied, since asking may write it."""
    index = place.index_env.get("GIT_INDEX_FILE") or os.path.join(place.paths.git_dir, "index")
    folder = os.path.join(place.paths.common_dir, "track", "tmp")
    os.makedirs(folder, exist_ok=True)
    copy = os.path.join(folder, f"index-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with open(index, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        done = place.git.call("-c", "core.splitIndex=false", "write-tree", env={"GIT_INDEX_FILE": copy})
    finally:
        for leftover in (copy, copy + ".lock"):
            if os.path.exists(leftover):
                os.unlink(leftover)
    return done.out.decode().strip() if done.code == 0 else None


def _is_empty(git: Git, message: bytes) -> bool:
    """Whether nothing is written there but comments."""
    cut = re.search(_SCISSORS, message)
    text = message[: cut.start()] if cut else message
    sign = _comment(git)
    return all(not line.strip() or line.startswith(sign) for line in text.split(b"\n"))


def _comment(git: Git) -> bytes:
    """How a line of comment begins."""
    found = git.call("config", "--get-regexp", "^core\\.comment(char|string)$").out.splitlines()
    sign = found[-1].partition(b" ")[2].strip() if found else b""
    return sign if sign and sign != b"auto" else b"#"


def _begin(place: Place, path: str, message: bytes, run: str, source: str) -> None:
    """Below an empty line for the subject. Without the commit-msg hook only as a remark."""
    if source not in _EDITED:
        return  # `git commit -m ""`
    if not _guarded(place):
        _remark(place, path, b"\n\n" + message, run)
        return
    with open(path, "wb") as file:
        file.write(f"\n\n{TRAILER}: {run}\n".encode() + message)


def _remark(place: Place, path: str, message: bytes, run: str) -> None:
    """Offer the line as a comment, after what is there of text."""
    sign = _comment(place.git)
    lines = message.split(b"\n")
    at = next((number for number, line in enumerate(lines) if line.startswith(sign)), len(lines))
    lines.insert(at, sign + f" This commit is what a run was made of. To say so: {TRAILER}: {run}".encode())
    with open(path, "wb") as file:
        file.write(b"\n".join(lines))


def _add(git: Git, path: str, run: str) -> None:
    """Where git itself puts trailers: at the end, before comments and what `--verbose` shows."""
    words = ("--in-place", "--no-divider", "--where=end", "--if-exists=addIfDifferent", "--if-missing=add")
    git.run("interpret-trailers", *words, "--trailer", f"{TRAILER}: {run}", os.path.abspath(path))


def _guarded(place: Place) -> bool:
    """Whether our commit-msg hook is there."""
    files = lazy("gittrack.git.hooks")
    found: Sequence[Hook] = files.look(files.folder(place.git), ["commit-msg"])
    return found[0].state in (files.OURS, files.EDITED, files.LEGACY)
