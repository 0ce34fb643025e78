"""Making files survive a power cut, for the fewest waits.

Measured on ext4, 200 files of 1.3 MB: fsync of each 140–150 ms, by four threads the same, one syncfs 118 ms; 2,000 of
3 kB: 337 ms, 201 ms by four threads, 22 ms. For one to eight files there is no difference. So: few are synced one by
one, which does not wait for what other programs write to the same disk; many by syncfs.

The disk can begin before that: of 1 GB in chunks, written while it comes from a network, the waits were 0.9 s, 0.3 s
where each chunk is begun when it is written.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator

from gittrack.lazy import lazy

FEW = 8
_LARGE = 256 * 1024


def sync(paths: Collection[str], directory: str) -> None:
    """Return when these files and directories, all on the file system of `directory`, are on the disk. Raises OSError.

    What is gone is skipped.
    """
    if len(paths) > FEW and sys.platform == "linux":
        _syncfs(directory)
        return
    for path in paths:
        with contextlib.suppress(FileNotFoundError), _opened(path) as file:
            os.fsync(file)


def begin(file: int, size: int) -> None:
    """Have the system write a file of this size that was just filled, without waiting: who syncs it waits less."""
    if size >= _LARGE and sys.platform == "linux":  # small ones are faster together
        with contextlib.suppress(OSError):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)  # writes what is dirty before it can drop the rest


def _syncfs(directory: str) -> None:
    ctypes = lazy("ctypes")
    libc = ctypes.CDLL(None, use_errno=True)
    with _opened(directory) as file:
        if libc.syncfs(file) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), directory)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
