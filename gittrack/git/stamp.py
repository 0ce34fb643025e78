"""Whether any of our refs moved since last time, told from a few `stat` calls: under 1 ms for 1,000 runs.

Refs are files: each update of a loose one creates and renames `REF.lock` in its directory, so the directory's time
changes; packing and deleting replace `packed-refs`; a reftable replaces `tables.list`. A stamp holds the directories
below refs/track with their times and inodes, and those of that one file. Directories that are not in the stamp cannot
hide anything: making one changes the time of its parent.

Where this could be wrong, and what is done about it:

- Times are coarse (4 ms on ext4, 1 s on HFS+, 2 s on FAT), so a second update within one grain leaves no trace. A stamp
  that was taken less than SETTLED seconds after the last change it has seen is never believed again: it says that
  something changed, the refs are read (milliseconds), and the next stamp is an old one.
- A file system whose clock runs behind ours makes changes look older than they are; what is lost is an update within
  the same grain as the stamp, on such a file system. One whose clock is ahead is never believed: slower, not wrong.
- File systems that keep no directory times are unknown to git's own untracked cache as well; `git track doctor` and
  deleting the index (a cache) help there.
"""

import os
from typing import NamedTuple

from gittrack.git.discover import Paths

SETTLED = 2.5  # seconds: the coarsest grain that is met (FAT: 2 s), and a little
_ROOT = "refs/track"


class Stamp(NamedTuple):
    """`text` is for keeping; `settled` is False when it will not be believed later anyway."""

    text: str
    settled: bool


def take(paths: Paths, now: float, root: str = _ROOT) -> Stamp:
    """The stamp of the refs as they are. Take it before the refs are read, so that what moves meanwhile is noticed."""
    names = [_whole(paths.common_dir), *_directories(paths.common_dir, root)]
    seen = [_look(f"{paths.common_dir}/{name}") for name in names]
    newest = max(time for time, _, _ in seen)
    settled = newest < (now - SETTLED) * 1e9
    return Stamp("\n".join((f"{int(settled)} {_digest(seen)}", *names)), settled)


def is_unchanged(paths: Paths, text: str) -> bool:
    """Whether no ref moved since the stamp `text` was taken. False also means: not known."""
    head, *names = text.split("\n")
    settled, _, digest = head.partition(" ")
    if settled != "1" or not names or names[0] != _whole(paths.common_dir):
        return False
    common = paths.common_dir
    return digest == _digest([_look(f"{common}/{name}") for name in names])


def _whole(common: str) -> str:
    """The file that is replaced when refs move which are not loose."""
    return "reftable/tables.list" if os.path.isdir(f"{common}/reftable") else "packed-refs"


def _directories(common: str, root: str) -> list[str]:
    """`root` and all below, `root` also when it does not exist yet (then its parent tells when it comes)."""
    parent = root.rpartition("/")[0]
    found = [parent, root]
    waiting = [root]
    while waiting:
        name = waiting.pop()
        try:
            with os.scandir(f"{common}/{name}") as entries:
                below = [f"{name}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        found += below
        waiting += below
    return found


def _look(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size


def _digest(seen: list[tuple[int, int, int]]) -> str:
    """Python's own hash of numbers: no import. Another build may count otherwise; its stamp is then not believed."""
    return f"{hash(tuple(seen)) & 0xFFFFFFFFFFFFFFFF:016x}"
