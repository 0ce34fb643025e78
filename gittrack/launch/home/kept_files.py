"""The files that a job kept, from its folder at the host: small ones to `blobs/`, which become git's, large ones to the
store of this clone. Each is what its digest says, or is not taken.

A large file is cut into chunks while it still comes: reading its first part need not wait for its last. What has come
of it stays in `files/<sha256>.part` of the run's folder, so that the next try goes on from there.
"""

import contextlib
import functools
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple, cast

from gittrack import errors
from gittrack.core import parcels
from gittrack.launch.home.claims import LARGEST_BLOB, Wanted, is_right
from gittrack.launch.home.tensor_order import TAIL, ahead
from gittrack.launch.later import Later
from gittrack.launch.link import shelling
from gittrack.launch.link.protocol import Entry, Link, Progress
from gittrack.runs import live
from gittrack.store import durable
from gittrack.store.content import Content

FILES = "files"
AT_ONCE_BYTES, AT_ONCE = 16 << 20, 200  # what is read in one turn: memory, and the length of a command
_STREAMED = 8 << 20  # smaller ones have come before they could be read meanwhile
_ROOM, _SHARE = 256 << 20, 8  # bytes that the disk keeps for others, but no more than so many times a file
_LOOK_EVERY = 0.05

# $1, $2, $3 and so on: path, offset, size. Nothing is followed out of the folder.
READ_MANY = """
while [ $# -ge 3 ]
do  [ -f "$1" ] && ! [ -L "$1" ] || exit 44
    tail -c "+$(($2 + 1))" -- "$1" 2>/dev/null | head -c "$3" || exit 47
    shift 3
done
"""


Show = Callable[[int, int], None]


def nothing(_done: int, _total: int) -> None:
    """A Show that nobody looks at."""


class Part(NamedTuple):
    """Bytes of a file at the host."""

    path: str
    offset: int
    size: int


def read_many(link: Link, parts: Sequence[Part]) -> list[bytes] | None:
    """All of them in one turn; None when one of them is not there, is no file, or has not so many bytes."""
    values = [value for part in parts for value in (part.path, str(part.offset), str(part.size))]
    done = link.run(shelling.script(READ_MANY, *values), check=False)
    if done.code or len(done.out) != sum(part.size for part in parts):
        return None
    found, at = [], 0
    for part in parts:
        found.append(done.out[at : at + part.size])
        at += part.size
    return found


class Bringing:
    """Brings the files of one run. `missing`: digests of those that the host has not, or not as they should be."""

    def __init__(self, link: Link, job: str, directory: str, content: Content, show: Show) -> None:
        """`show`: bytes that have come, of how many that are known to come."""
        self.missing: set[str] = set()
        self._link = link
        self._job = job
        self._directory = directory
        self._content = content
        self._show = show
        self._done = self._total = 0  # bytes
        self._brought: set[Wanted] = set()

    def bring(self, files: Iterable[Wanted]) -> bool:
        """All of these are here afterwards, but for `missing`. Whether any came to the store.

        Raises HostFailed, LinkLost, CannotWrite, StoreFailed; the next call goes on."""
        new = [file for file in dict.fromkeys(files) if file not in self._brought]
        self._bring_small([file for file in new if file.in_git and not self._is_here(file)])
        large = [file for file in new if not file.in_git and not self._content.has(file.sha256, file.size)]
        there = self._listed(FILES) if large else {}
        self._total += sum(file.size for file in large)
        came = False
        for file in large:
            entry = there.get(file.sha256)
            if entry is None or entry.kind != "file" or entry.size != file.size or not self._bring_large(file):
                self.missing.add(file.sha256)
            else:
                came = True
        self._brought.update(new)
        return came

    def _progress(self, moved: int) -> None:
        self._done += moved
        self._show(self._done, self._total)

    def _is_here(self, file: Wanted) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.stat(live.blob(self._directory, file.sha256)).st_size == file.size
        return False

    def _bring_small(self, files: Sequence[Wanted]) -> None:
        there = self._listed(parcels.BLOBS) if files else {}
        whole: list[Wanted] = []
        for file in files:
            entry = there.get(file.sha256)
            if entry and entry.kind == "file" and entry.size == file.size <= LARGEST_BLOB:
                whole.append(file)
            else:
                self.missing.add(file.sha256)
        for some in _batches(whole):
            parts = [Part(f"{self._job}/run/{parcels.BLOBS}/{file.sha256}", 0, file.size) for file in some]
            found = read_many(self._link, parts) or [self._one(part) for part in parts]
            right = [(file, data) for file, data in zip(some, found, strict=True) if is_right(data, file)]
            self.missing.update({file.sha256 for file in some} - {file.sha256 for file, _ in right})
            self._write([(file.sha256, data) for file, data in right])

    def _one(self, part: Part) -> bytes:
        found = read_many(self._link, [part])
        return found[0] if found else b""

    def _write(self, found: Sequence[tuple[str, bytes]]) -> None:
        """Flushed before they get their names: what has one is whole."""
        if not found:
            return
        folder = os.path.join(self._directory, parcels.BLOBS)
        os.makedirs(folder, exist_ok=True)
        fresh = {live.blob(self._directory, sha256) + ".new": sha256 for sha256, _ in found}
        for path, (_, data) in zip(fresh, found, strict=True):
            with open(path, "wb") as file:
                file.write(data)
        durable.sync(list(fresh), folder)
        for path, sha256 in fresh.items():
            os.rename(path, live.blob(self._directory, sha256))
        durable.sync([folder], folder)

    def _listed(self, folder: str) -> dict[str, Entry]:
        return {entry.name: entry for entry in self._link.list(f"{self._job}/run/{folder}") or ()}

    def _bring_large(self, file: Wanted) -> bool:
        """False: it is not what its digest says."""
        part = os.path.join(self._directory, FILES, file.sha256 + ".part")
        os.makedirs(os.path.dirname(part), exist_ok=True)
        self._make_sure_of_room(file)
        right = False
        for _ in range(2):
            at = _size(part)
            with contextlib.suppress(_Gone):
                right = at <= file.size and self._stored(file, part, at)
            if right or at == 0:
                break
            os.truncate(part, 0)  # what an earlier try had left was wrong: a disk that lost power
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return right

    def _stored(self, file: Wanted, part: str, at: int) -> bool:
        path = f"{self._job}/run/{FILES}/{file.sha256}"
        known = ahead(functools.partial(self._read, path), file.size) if file.size - at > _STREAMED else {}
        self._progress(at)
        with open(part, "ab"):
            pass
        with _Coming(part, file.size, known) as coming:
            fetching = Later(lambda: coming.fill(lambda moved: self._fetch(path, part, at, file.size, moved)))
            try:
                kept = self._content.put_stream(cast(BinaryIO, coming), file.size)
            except BaseException as error:
                coming.stop()
                if isinstance(error, Exception):  # who interrupts does not wait for a host
                    fetching.result()
                raise
            fetching.result()
        return kept.sha256 == file.sha256 and kept.size == file.size

    def _read(self, path: str, places: Sequence[tuple[int, int]]) -> list[bytes] | None:
        found: list[bytes] = []
        for at in range(0, len(places), AT_ONCE):
            some = read_many(self._link, [Part(path, offset, size) for offset, size in places[at : at + AT_ONCE]])
            if some is None:
                return None
            found += some
        return found

    def _fetch(self, path: str, part: str, at: int, size: int, moved: Progress) -> None:
        """A file that does not end is left where it should have ended."""
        total = at

        def count(bytes_moved: int) -> None:
            nonlocal total
            total += bytes_moved
            if total > size:
                raise _Stopped  # whether it is what it should be, its digest says
            self._progress(bytes_moved)
            moved(bytes_moved)

        if at < size:
            try:
                self._link.fetch(path, part, at, count)
            except FileNotFoundError:
                raise _Gone from None

    def _make_sure_of_room(self, file: Wanted) -> None:
        free = shutil.disk_usage(self._directory).free
        if free < 2 * file.size + min(_ROOM, _SHARE * file.size):
            raise errors.CannotWrite(
                f"there is no room for a file of {file.size:,} bytes: {free:,} bytes are free",
                "nothing is lost, the host has it; make room, then run the command again",
            )


class _Gone(Exception):
    """The host had it, and has not any more."""


class _Stopped(Exception):
    """Nobody wants the rest."""


class _Coming(io.RawIOBase):
    """A local file that another thread is still writing; a read waits for its bytes. `known`: those that need not be
    waited for, by their offset."""

    def __init__(self, path: str, size: int, known: Mapping[int, bytes]) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self._size = size
        self._known = known
        self._at = 0
        self._news = threading.Condition()
        self._over = False
        self._stop = False
        self._error: BaseException | None = None

    def fill(self, work: Callable[[Progress], None]) -> None:
        """Run `work`, which writes the file; who reads hears of its end, and of its failure."""
        try:
            work(self._moved)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - who reads raises it
            self._error = error
        with self._news:
            self._over = True
            self._news.notify_all()

    def stop(self) -> None:
        self._stop = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        count = min(len(buffer), max(0, self._size - self._at))
        if count == 0:
            return 0
        data = self._known_at(count) if self._have() < self._at + count else b""
        if not data:
            self._wait(self._at + 1)
            self._file.seek(self._at)
            data = self._file.read(min(count, self._have() - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _known_at(self, count: int) -> bytes:
        if self._at in self._known:
            return self._known[self._at][:count]
        behind = self._at - (self._size - TAIL)
        return self._known.get(self._size - TAIL, b"")[behind : behind + count] if behind > 0 else b""

    def close(self) -> None:
        self._file.close()
        super().close()

    def _have(self) -> int:
        return min(os.fstat(self._file.fileno()).st_size, self._size)

    def _wait(self, size: int) -> None:
        with self._news:
            while self._have() < size and not self._over:
                self._news.wait(_LOOK_EVERY)
        if self._error is not None:
            raise self._error

    def _moved(self, _count: int) -> None:
        if self._stop:
            raise _Stopped
        with self._news:
            self._news.notify_all()


def _batches(files: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    some: list[Wanted] = []
    for file in files:
        if some and (len(some) == AT_ONCE or sum(one.size for one in some) + file.size > AT_ONCE_BYTES):
            yield some
            some = []
        some.append(file)
    if some:
        yield some


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
