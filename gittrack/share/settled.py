"""That nothing was new at the last pull, kept so that the next one can see at a glance that this is still so.

A pull that brings nothing is what a team does all day, and most of its time would be imports. So the answer of the
remote is kept as it came, beside what it depends on: settings, the current branch, the refs here. If all of that is the
same, and the remote says the same again, there is nothing to do. Losing the file costs one pull of the usual length.
"""

import os
from collections.abc import Mapping

from gittrack.git import stamp
from gittrack.git.discover import Paths

_HEAD = b"gittrack settled 1\n"
# Variables that make git look elsewhere, or at other settings: who sets one is answered in the usual way.
_ELSEWHERE = (
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_WORK_TREE",
    "GIT_OBJECT_DIRECTORY",
)


def arguments(remote: str) -> tuple[str, ...]:
    """How git is asked."""
    return ("ls-remote", "--refs", "--", remote, "refs/track/*")


def answer(refs: Mapping[str, str]) -> bytes:
    """What git says where these are the refs of a remote."""
    return "".join(f"{oid}\t{ref}\n" for ref, oid in refs.items()).encode("utf-8", "surrogateescape")


def save(
    paths: Paths, environ: Mapping[str, str], remote: str, refs: Mapping[str, str], seen: str, default: bool
) -> None:
    """Keep that nothing of `refs` was left to be taken when the refs here were as in the stamp `seen`. `default`: the
    remote is the one that is meant where none is named. Failing to is no matter."""
    parts = [remote.encode("utf-8", "surrogateescape"), b"1" if default else b"", _settings(paths, environ)]
    data = [*parts, seen.encode(), answer(refs)]
    path = _path(paths)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(_HEAD + b" ".join(b"%d" % len(part) for part in data) + b"\n" + b"".join(data))
        os.replace(temporary, path)
    except OSError:
        return


def load(paths: Paths, environ: Mapping[str, str], word: str) -> tuple[str, bytes] | None:
    """The remote to ask when `word` (empty: nothing) is what the user named, and what it says where nothing is new.
    None where that is not known."""
    if any(name in environ for name in _ELSEWHERE):
        return None
    try:
        with open(_path(paths), "rb") as file:
            if file.readline() != _HEAD:
                return None
            sizes = [int(size) for size in file.readline().split()]
            remote, default, settings, seen, refs = [file.read(size) for size in sizes]
    except (OSError, ValueError):
        return None
    name = remote.decode("utf-8", "surrogateescape")
    meant = word == name or (not word and default == b"1")
    if not meant or settings != _settings(paths, environ) or not stamp.is_unchanged(paths, seen.decode()):
        return None
    return name, refs


def _settings(paths: Paths, environ: Mapping[str, str]) -> bytes:
    """The files that say which remote is meant, as far as their time and size tell."""
    home = environ.get("HOME", "")
    users = os.path.join(environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "git", "config")
    instead = environ.get("GIT_CONFIG_GLOBAL")
    globally = [instead] if instead is not None else [os.path.join(home, ".gitconfig"), users]
    locally = [os.path.join(paths.common_dir, "config"), os.path.join(paths.git_dir, "config.worktree")]
    places = [*locally, *globally, "/etc/gitconfig"]
    said = [_look(place) for place in places]
    try:
        with open(os.path.join(paths.git_dir, "HEAD"), "rb") as file:
            said.append(file.read(4096))
    except OSError:
        pass
    return b"|".join(said)


def _look(path: str) -> bytes:
    try:
        found = os.stat(path)
    except OSError:
        return b""
    return b"%d %d %d" % (found.st_mtime_ns, found.st_size, found.st_ino)


def _path(paths: Paths) -> str:
    return os.path.join(paths.common_dir, "track", "remotes", "settled")
