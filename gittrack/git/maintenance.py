"""Keeps our loose objects and refs few, so that a user's `git commit` never starts a gc because of us.

git starts one at 6,700 loose objects (gc.auto) or 50 packs (gc.autoPackLimit). A run writes about twenty objects, so a
sweep of a few hundred would be enough. Three things are done here, each only when it is due:

- Loose objects that were written since last time go into one pack. Older ones are left alone: what a gc has just
  thrown out of its packs as unreachable would otherwise be packed again and again, and never expire.
- Our own packs are merged where there are eight of about the same size: their number grows with the logarithm, and so
  does what a long run pays for it. Packs that the user's git made are never rewritten (`git repack --geometric`
  would). A merged pack is only removed by the next call, so that a git that has just opened it can go on.
- Refs below refs/track are packed when there are hundreds of loose ones: 10,000 loose refs cost a push 0.3 s, packed
  ones 0.06 s. An older git (before 2.42) packs all refs then, as its own gc does.

All of it is git's own doing under git's own locks, so it may run beside anything; it takes seconds at the most, and
never belongs on a training thread. While a gc runs nothing is done.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gittrack.git import ownpacks, reffiles, trackdir
from gittrack.git.command import Git, failure

LOOSE_OBJECTS = 2000  # of 6,700
LOOSE_REFS = 500
_SAMPLE = ("17", "5a", "9d", "e2")  # 17 is the one directory that git itself counts
_SLACK = 2_000_000_000  # nanoseconds: the grain of the coarsest file times
_HEX = set("0123456789abcdef")


class Tidied(NamedTuple):
    """What was done."""

    objects: int = 0  # loose objects and objects of merged packs, now in one pack
    packs: int = 0  # packs removed
    refs: int = 0  # loose refs, now packed


def tidy(git: Git, force: bool = False) -> Tidied:
    """Do what is due (with `force`, all of it). Costs about 1 ms when nothing is. May be called at any time."""
    common = git.paths.common_dir
    if gc_is_running(common):
        return Tidied()
    with alone(common) as file:
        if file is None:
            return Tidied()
        since = _last(file)
        os.utime(file)
        started = os.fstat(file).st_mtime_ns
        removed = ownpacks.remove_superseded(common)
        packed = _objects(git, since, force)
        if packed:
            _remember(file, started)
        return Tidied(packed, removed, _refs(git, force))


def estimate(common: str, since: int = 0) -> tuple[int, int]:
    """About how many loose objects there are: all of them, and those written after `since` (nanoseconds)."""
    total = young = 0
    for name in _SAMPLE:
        for _, status in _loose(common, name):
            total += 1
            young += status.st_mtime_ns >= since
    return total * 256 // len(_SAMPLE), young * 256 // len(_SAMPLE)


def gc_is_running(common: str) -> bool:
    """By the rules of git itself: gc.pid names a process that lives, here or for at most 12 hours elsewhere."""
    path = os.path.join(common, "gc.pid")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            pid, _, host = file.read().strip().partition(" ")
        age = time.time() - os.stat(path).st_mtime
    except OSError:
        return False
    if not pid.isdigit() or age > 12 * 3600:
        return False
    if host != os.uname().nodename:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's gc
        return True
    return True


def _objects(git: Git, since: int, force: bool) -> int:
    """Pack what is young, together with those of our packs that are to be merged."""
    common = git.paths.common_dir
    packs = ownpacks.of(common)
    total, young = estimate(common, since)
    limit = LOOSE_OBJECTS
    if total > LOOSE_OBJECTS // 4:  # only then a small gc.auto matters, and only then is git asked
        limit = min(limit, max(1, _gc_auto(git) // 3))
    merged = packs if force else ownpacks.to_merge(packs)
    if not force and young <= limit and not merged:
        return 0
    loose = [oid for oid, status in all_loose(common) if status.st_mtime_ns >= since and status.st_size > 0]
    oids = [*loose]
    for pack in merged:
        oids += _listed(git, pack.path)
    if not oids:
        return 0
    # Blobs of 128 KiB and more are segments of series: no deltas between them, much memory and time to find that out.
    args = ("-c", "core.bigFileThreshold=128k", "pack-objects", "-q", "--threads=1", f"{common}/objects/pack/pack")
    made = git.run(*args, input="".join(f"{oid}\n" for oid in oids).encode()).decode().split()
    ownpacks.replace(common, merged, [f"pack-{name}" for name in made])
    _remove(common, loose)
    return len(oids)


def _remove(common: str, loose: Sequence[str]) -> None:
    """Remove loose objects that are in a pack now.

    Not by `git prune-packed`: it takes empty directories away too, and a `git commit` that is just about to write into
    one of them fails.
    """
    for oid in loose:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{common}/objects/{oid[:2]}/{oid[2:]}")


def _refs(git: Git, force: bool) -> int:
    common = git.paths.common_dir
    if os.path.isdir(os.path.join(common, "reftable")):  # git compacts it as it writes
        return 0
    count = reffiles.count_loose(git.paths, "refs/track")
    if count == 0 or (count <= LOOSE_REFS and not force):
        return 0
    result = git.call("pack-refs", "--include", "refs/track/*")
    if result.code != 0 and b"unknown option" in result.err:
        result = git.call("pack-refs", "--all")
    if result.code != 0:
        if b"packed-refs.lock" in result.err:  # another git does the same: next time, then
            return 0
        raise failure(("pack-refs",), result.code, result.err, git.paths)
    return count - reffiles.count_loose(git.paths, "refs/track")


@contextlib.contextmanager
def alone(common: str) -> Iterator[int | None]:
    """The open lock file, or None when another process is at it."""
    file = trackdir.open_file(common, "tidy.lock")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held; or no flock here, where two at once do no harm but work
        os.close(file)
        yield None
        return
    try:
        yield file
        fcntl.flock(file, fcntl.LOCK_UN)  # in words, because of children forked meanwhile
    finally:
        os.close(file)


def _last(file: int) -> int:
    """When the last call that packed something began."""
    text = os.pread(file, 32, 0).strip()
    return int(text) - _SLACK if text.isdigit() else 0


def _remember(file: int, started: int) -> None:
    os.pwrite(file, b"%-31d\n" % started, 0)


def _gc_auto(git: Git) -> int:
    text = git.call("config", "--type=int", "gc.auto").out.strip()
    value = int(text) if text.lstrip(b"-").isdigit() else 6700
    return value if value > 0 else 6700


def all_loose(common: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every object in a file of its own."""
    for number in range(256):
        yield from _loose(common, f"{number:02x}")


def _loose(common: str, fan: str) -> Iterator[tuple[str, os.stat_result]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(f"{common}/objects/{fan}") as entries:
        for entry in entries:
            if len(entry.name) in (38, 62) and not set(entry.name) - _HEX:
                with contextlib.suppress(FileNotFoundError):  # packed by another git meanwhile
                    yield fan + entry.name, entry.stat()


def _listed(git: Git, pack: str) -> Sequence[str]:
    """The oids in a pack, from its index."""
    with open(f"{pack}.idx", "rb") as file:
        return [line.split()[1] for line in git.run("show-index", input=file.read()).decode().splitlines()]
