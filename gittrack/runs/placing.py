"""Putting files into a folder, each whole or not at all, never through a link, and so that it can be taken back.

A file is made in a folder of ours below the target, and renamed into its place by descriptors of its parents, opened
one by one and never through a link: whatever a record says, and whatever was planted meanwhile, nothing is written
elsewhere. What it replaces is linked into `<git common dir>/track/undo/<operation>` first, and a manifest there says so
before the rename: killed at any point, every file is the old one or the new one, and an undo knows which.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
import stat
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.git.discover import Paths
from gittrack.runs import operations
from gittrack.runs.checkout_plan import ABSENT, FILE, FOLDER, LINK, OTHER, STAGING, Seen, is_staging, parents

MANIFEST = "manifest.jsonl"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PIECE = 4 * 1024 * 1024
_ON_THE_WAY = 64  # bytes: the staging folder, one in it, and a NUL

Stamp = list[int] | None  # inode, size, time of change: whether a file is the one that it was. None: there is none


class Change(NamedTuple):
    """One file that was put (or removed): what was there, and what is there now."""

    path: str
    saved: str | None  # name of the copy in the operation's folder; None when nothing was there
    was: Stamp
    now: Stamp


def kept_folder(paths: Paths, operation: str) -> str:
    return os.path.join(paths.common_dir, "track", "undo", operation)


class Saved:
    """What an operation replaces: its folder and the manifest."""

    def __init__(self, paths: Paths, operation: str, root: str) -> None:
        self.operation = operation
        self.folder = kept_folder(paths, operation)
        self._number = 0
        self.changes = 0
        os.makedirs(self.folder, exist_ok=True)
        self._manifest = open(os.path.join(self.folder, MANIFEST), "ab", buffering=0)  # noqa: SIM115 - see close
        with contextlib.suppress(OSError):  # no flock on this file system
            fcntl.flock(self._manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody tidies it away meanwhile
        self._line({"root": root})

    def save(self, parent: int, name: str) -> tuple[str | None, Stamp]:
        """Keep what is at `name`, if anything is."""
        was = _stamp(parent, name)
        if was is None:
            return None, None
        saved = str(self._number)
        self._number += 1
        target = os.path.join(self.folder, saved)
        try:
            os.link(name, target, src_dir_fd=parent, follow_symlinks=False)
        except OSError:  # another file system, or one without links, or a file of somebody else's
            _copy(parent, name, target)
        return saved, was

    def say(self, change: Change) -> None:
        self.changes += 1
        self._line(change._asdict())

    def made(self, folder: str) -> None:
        self._line({"made": folder})

    def _line(self, value: Any) -> None:
        self._manifest.write(json.dumps(value).encode() + b"\n")

    def close(self) -> None:
        self._manifest.close()


class Target:
    """A folder that is being changed by one `operation`. Made if it is not there."""

    def __init__(self, root: str, saved: Saved) -> None:
        self.root = root
        self.operation = saved.operation
        self._saved = saved
        os.makedirs(root, exist_ok=True)
        self._root = os.open(root, _FOLDER)
        try:
            _sweep(root)
            self.staging, self._staging = _stage(root)
        except BaseException:
            os.close(self._root)
            raise

    def put(self, source: str, path: str, replace: bool) -> None:
        """Move the finished file `source`, below `staging`, to `path`. Raises WouldOverwrite."""
        folder, _, name = path.rpartition("/")
        with self._opened(folder, make=True) as parent:
            if not replace and _stamp(parent, name) is not None:
                raise errors.WouldOverwrite(
                    f"{path} has come into being meanwhile", "run the command again, or give --force"
                )
            with _beside(source, parent) as (place, made):
                saved, was = self._saved.save(parent, name)
                self._saved.say(Change(path, saved, was, _stamp(place, made)))
                try:
                    os.rename(made, name, src_dir_fd=place, dst_dir_fd=parent)
                except (IsADirectoryError, NotADirectoryError) as error:
                    raise _in_the_way(path) from error

    def remove(self, path: str) -> None:
        """Take away the file at `path`."""
        folder, _, name = path.rpartition("/")
        with self._opened(folder, make=False) as parent:
            saved, was = self._saved.save(parent, name)
            self._saved.say(Change(path, saved, was, None))
            os.unlink(name, dir_fd=parent)

    @contextlib.contextmanager
    def _opened(self, folder: str, make: bool) -> Iterator[int]:
        """The folder, reached without following a link."""
        at, way = os.dup(self._root), ""
        try:
            for part in folder.split("/") if folder else ():
                way = f"{way}/{part}" if way else part
                try:
                    below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
                except FileNotFoundError:
                    if not make:
                        raise
                    self._saved.made(way)
                    os.mkdir(part, dir_fd=at)
                    below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
                except OSError as error:
                    if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                        raise
                    raise _in_the_way(way) from error
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    def close(self) -> None:
        os.close(self._root)
        shutil.rmtree(self.staging, ignore_errors=True)
        os.close(self._staging)


@contextlib.contextmanager
def replacing(paths: Paths, root: str, command: str, who: str, undoes: str | None = None) -> Iterator[Target]:
    """The folder `root`, to be changed in one operation that can be undone. Raises CannotWrite."""
    operation = operations.begin(paths, command, time.time(), who=who, undoes=undoes)
    forget(paths, time.time() - operations.EXPIRY)
    target = saved = outcome = None
    absent = _absent(root)
    try:
        saved = Saved(paths, operation, root)
        target = Target(root, saved)
        yield target
        outcome = operations.DONE
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "free some space there" if full else "see that it is a folder, stays one, and that you may write there"
        hint = f"{todo}, and run the command again: what is done already is whole, and stays"
        raise errors.CannotWrite(f"cannot write below {root}: {error.strerror}", hint) from error
    finally:
        for opened in (target, saved):
            if opened is not None:
                opened.close()
        if outcome is None and (saved is None or not saved.changes):
            outcome = operations.FAILED
        if outcome is not None:  # else it is half done, as if it had been killed
            operations.end(paths, operation, outcome)
        for folder in absent if outcome == operations.FAILED else ():  # nothing was done: nothing is left of it
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _absent(root: str) -> list[str]:
    """The folders that have to be made for `root` to be there, the innermost first."""
    found = []
    while root and not os.path.lexists(root):
        found.append(root)
        root = os.path.dirname(root)
    return found


def forget(paths: Paths, before: float) -> int:
    """Let go of what was replaced before that time; returns how many bytes that frees. Whoever tidies calls it."""
    freed = 0
    for folder in _kept_before(paths, before):
        with contextlib.suppress(OSError), open(os.path.join(folder, MANIFEST), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            freed += _size(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def kept_size(paths: Paths, before: float = math.inf) -> int:
    """Bytes that only an undo of what was done before that time needs."""
    return sum(map(_size, _kept_before(paths, before)))


def _kept_before(paths: Paths, before: float) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(kept_folder(paths, "")) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                yield entry.path


def _size(folder: str) -> int:
    """What goes with the folder: a file that has another name, too, stays."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:  # somebody else tidies
        for entry in entries:
            found = os.lstat(entry.path)
            total += found.st_size if found.st_nlink == 1 and entry.name != MANIFEST else 0
    return total


def room(root: str) -> int:
    """How many bytes are left for a path below `root`, wherever a file is on its way there. Raises CannotWrite."""
    try:
        os.stat(root)
    except (FileNotFoundError, NotADirectoryError):  # it is made later, or cannot be
        pass
    except OSError as error:
        raise errors.CannotWrite(f"cannot write below {root}: {error.strerror}", "choose another -o DIR") from error
    return os.pathconf("/", "PC_PATH_MAX") - len(os.fsencode(root)) - _ON_THE_WAY


def look(root: str, path: str) -> Seen:
    """What is at `path` below `root`; `same` is left to the caller."""
    for parent in parents(path):
        kind = _kind(os.path.join(root, parent))
        if kind == ABSENT:
            return Seen(ABSENT)
        if kind != FOLDER:
            return Seen(kind, blocker=parent)
    return Seen(_kind(os.path.join(root, path)))


def _kind(path: str) -> str:
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if stat.S_ISREG(mode):
        return FILE
    return LINK if stat.S_ISLNK(mode) else FOLDER if stat.S_ISDIR(mode) else OTHER


def folds_case(root: str) -> bool:
    """Whether names that differ in case alone are one name in `root`, or in the nearest folder above that is there."""
    there = os.path.realpath(root)
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    while there != os.path.dirname(there):
        folder, name = os.path.split(there)
        if name.swapcase() != name:
            with contextlib.suppress(OSError):
                return os.path.samestat(os.lstat(there), os.lstat(os.path.join(folder, name.swapcase())))
            return False
        there = folder
    return False


def manifest(paths: Paths, operation: str) -> tuple[str, list[Change], list[str]] | None:
    """The folder that an operation changed, its changes in order, and the folders that it made. None: it is none of
    that kind, or too old."""
    try:
        with open(os.path.join(kept_folder(paths, operation), MANIFEST), "rb") as file:
            lines = [json.loads(line) for line in file if line.endswith(b"\n")]
    except FileNotFoundError:
        return None
    if not lines:  # killed before anything was changed
        return None
    changes = [Change(**line) for line in lines if "path" in line]
    return lines[0]["root"], changes, [line["made"] for line in lines if "made" in line]


def stamp_at(path: str) -> Stamp:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _stamp(parent: int, name: str) -> Stamp:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


@contextlib.contextmanager
def _beside(source: str, parent: int) -> Iterator[tuple[int, str]]:
    """The finished file as (folder, name) on the file system of `parent`: copied when a mount lies between."""
    folder, name = os.path.split(source)
    if os.fstat(parent).st_dev == os.lstat(source).st_dev:
        place = os.open(folder, _FOLDER | os.O_NOFOLLOW)
        try:
            yield place, name
        finally:
            os.close(place)
        return
    made = f"{STAGING}{os.urandom(8).hex()}"
    try:
        _copy_in(source, parent, made)
        yield parent, made
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made, dir_fd=parent)


def _copy_in(source: str, parent: int, name: str) -> None:
    found = os.lstat(source)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source), name, dir_fd=parent)
        return
    made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with open(made, "wb") as out, open(source, "rb") as data:
        shutil.copyfileobj(data, out, _PIECE)
        os.fchmod(made, stat.S_IMODE(found.st_mode))


def _copy(parent: int, name: str, target: str) -> None:
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=parent), target)
        return
    if not stat.S_ISREG(found.st_mode):
        raise _in_the_way(name)
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    with open(source, "rb") as data, open(target, "xb") as out:
        shutil.copyfileobj(data, out, _PIECE)
        os.fchmod(out.fileno(), stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _in_the_way(path: str) -> errors.WouldOverwrite:
    return errors.WouldOverwrite(
        f"{path} is in the way: it is a folder where a file belongs, or no folder where one is needed",
        "move it away, or restore into another folder with -o DIR",
    )


def _stage(root: str) -> tuple[str, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        path = os.path.join(root, f"{STAGING}{os.getpid()}-{os.urandom(4).hex()}")
        os.mkdir(path, 0o700)
        with contextlib.suppress(FileNotFoundError):  # swept by another checkout before it was locked
            folder = os.open(path, _FOLDER)
            fcntl.flock(folder, fcntl.LOCK_EX)
            if os.path.isdir(path):
                _hide(path)
                return path, folder
            os.close(folder)


def _hide(folder: str) -> None:
    """What a killed checkout leaves is not listed by git, and in no snapshot."""
    with contextlib.suppress(OSError), open(os.path.join(folder, ".gitignore"), "w") as file:  # full: its files say so
        file.write("*\n")


def _sweep(root: str) -> None:
    """Remove the staging folders that killed processes left: those whose lock is free. A folder of the user's may have
    a name that only begins alike."""
    with os.scandir(root) as entries:
        left = [entry.path for entry in entries if is_staging(entry.name) and entry.is_dir(follow_symlinks=False)]
    for path in left:
        with contextlib.suppress(OSError):
            folder = os.open(path, _FOLDER | os.O_NOFOLLOW)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(folder)
