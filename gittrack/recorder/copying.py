"""Copies of files that a script may change or delete the moment the call returns.

Cheap where the file system can share blocks, through the kernel elsewhere, byte by byte as the last resort. Never hard
links: they change with the file.

What is wrong with one file (gone, unreadable, a pipe) is noted and the others are copied; what is wrong with the place
they are copied to (full, read-only) raises OSError.
"""

from __future__ import annotations

import errno
import os
from fcntl import ioctl
from stat import S_ISDIR, S_ISLNK, S_ISREG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Note = Callable[[str, str], None]  # path as it is called in the run, and what happened to it

_FICLONE = 0x40049409
_STEP = 1 << 26  # between two system calls signals are handled
_PIECE = 1 << 20
_TOO_LONG = "has too long a name to be kept"
_GONE = "vanished while it was being saved, and was left out"
_OTHER = "is no file or folder and was left out"
_CHANGED = "changed while it was being saved, and is kept as it was read"
_range = getattr(os, "copy_file_range", None)
_send = getattr(os, "sendfile", None)


class _Unreadable(Exception):
    """The fault is the file's, not that of the place it is copied to."""


def copy(source: bytes, target: bytes, name: str, note: Note, ours: Collection[tuple[int, int]] = ()) -> None:
    """Copy a file, or a folder with all that is in it, to `target`, which does not exist. A link given as such is
    followed; links inside a folder stay links. `ours` are folders (device, inode) that are passed over."""
    try:
        mode = os.stat(source).st_mode
    except OSError as error:
        note(name, "does not exist" if error.errno == errno.ENOENT else _why(error))
        return
    if S_ISDIR(mode):
        _copy_folder(source, target, name, note, ours)
    elif S_ISREG(mode):
        _copy_file(source, target, name, note)
    else:
        note(name, _OTHER)


def identity(folder: bytes) -> tuple[int, int]:
    """What tells a folder from all others, by whatever path it is reached. Raises OSError."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _copy_folder(source: bytes, target: bytes, name: str, note: Note, ours: Collection[tuple[int, int]]) -> None:
    """Folders that hold nothing are not made: git could not keep them."""
    waiting = [(source, target, name)]
    while waiting:
        source, target, name = waiting.pop()
        try:
            entries = sorted(os.scandir(source), key=_by_name)
        except OSError as error:
            note(name, _why(error))
            continue
        made = False
        for entry in entries:
            inner = (entry.path, target + b"/" + entry.name, name + "/" + os.fsdecode(entry.name))
            if entry.is_dir(follow_symlinks=False):
                if not _is_ours(entry, ours):
                    waiting.append(inner)
                continue
            if not made:
                made = _make(target, name, note)
                if not made:
                    break
            _copy_entry(*inner, entry, note)


def _is_ours(entry: os.DirEntry[bytes], ours: Collection[tuple[int, int]]) -> bool:
    inode = entry.inode()  # known already: only what has the same number is asked for its device
    try:
        return any(number == inode and identity(entry.path) == (device, number) for device, number in ours)
    except OSError:
        return False  # gone


def _by_name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name


def _make(target: bytes, name: str, note: Note) -> bool:
    try:
        os.makedirs(target, exist_ok=True)
    except OSError as error:
        note_too_long(error, name, note)
        return False
    return True


def note_too_long(error: OSError, name: str, note: Note) -> None:
    """Of what was to be written: a path that is too long is the file's fault, anything else the place's."""
    if error.errno != errno.ENAMETOOLONG:
        raise error
    note(name, _TOO_LONG)


def _copy_entry(source: bytes, target: bytes, name: str, entry: os.DirEntry[bytes], note: Note) -> None:
    if entry.is_file(follow_symlinks=False):
        _copy_file(source, target, name, note)
        return
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
        where = os.readlink(source) if S_ISLNK(mode) else None
    except OSError as error:
        note(name, _why(error))
        return
    if where is None:
        note(name, _OTHER)
        return
    try:
        os.symlink(where, target)
    except OSError as error:
        note_too_long(error, name, note)


def _copy_file(source: bytes, target: bytes, name: str, note: Note) -> None:
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a pipe by now
    except OSError as error:
        note(name, _why(error))
        return
    try:
        _copy_open(fd, target, name, note)
    except _Unreadable as error:
        _remove(target)
        note(name, f"cannot be read ({error}) and was left out")
    except OSError as error:
        note_too_long(error, name, note)
    finally:
        os.close(fd)


def _copy_open(fd: int, target: bytes, name: str, note: Note) -> None:
    mode = os.fstat(fd).st_mode
    if not S_ISREG(mode):
        note(name, _OTHER)
        return
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777 if mode & 0o100 else 0o666)
    try:
        for attempt in range(2):
            before = os.fstat(fd)
            size = _copy_bytes(fd, out, before.st_size)
            after = os.fstat(fd)
            is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if is_same and size == (before.st_size or size):  # what the kernel makes up has size 0
                return
            if attempt == 0:
                os.ftruncate(out, 0)
                os.lseek(out, 0, os.SEEK_SET)
                os.lseek(fd, 0, os.SEEK_SET)
        note(name, _CHANGED)
    finally:
        os.close(out)


def _copy_bytes(fd: int, out: int, size: int) -> int:
    """Copy from where `fd` stands to its end; how many bytes that were."""
    if _clone(fd, out):
        return os.fstat(out).st_size
    done = 0
    for way in (_range, _send and _by_sendfile):
        if way is not None and done < size:
            done += _through(way, fd, out, size - done)
    return done + _plainly(fd, out)  # what the kernel did not copy, and what was added meanwhile


def _clone(fd: int, out: int) -> bool:
    """Share the blocks (btrfs, xfs, bcachefs, overlays of these)."""
    try:
        ioctl(out, _FICLONE, fd)
    except OSError:
        return False
    return True


def _through(way: Callable[[int, int, int], int], fd: int, out: int, size: int) -> int:
    done = 0
    while done < size:
        try:
            count = way(fd, out, min(_STEP, size - done))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            break  # EXDEV, EINVAL, ENOSYS, EPERM: not on this file system, kernel or in this sandbox; EIO shows again
        if not count:
            break
        done += count
    return done


def _by_sendfile(fd: int, out: int, count: int) -> int:
    return os.sendfile(out, fd, None, count)


def _plainly(fd: int, out: int) -> int:
    done = 0
    while True:
        try:
            data = os.read(fd, _PIECE)
        except OSError as error:
            raise _Unreadable(error.strerror) from None
        if not data:
            return done
        done += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(out, rest) :]


def _remove(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _why(error: OSError) -> str:
    return _GONE if error.errno == errno.ENOENT else f"cannot be read ({error.strerror}) and was left out"
