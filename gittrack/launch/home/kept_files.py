"""The files that a job kept, from its folder at the host: small ones to `blobs/`, which become git's, large ones to the
store of this clone. Each is what its digest says, or is not taken.

A large file is cut into chunks while it still comes, and each of its bytes is written once (see `arriving`).
"""

import contextlib
import functools
import itertools
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import BinaryIO, NamedTuple, cast

from gittrack import errors
from gittrack.core import parcels
from gittrack.launch.home.arriving import Arrived, Arriving, forget
from gittrack.launch.home.claims import LARGEST_BLOB, Wanted, is_right
from gittrack.launch.home.tensor_order import Index
from gittrack.launch.link import shelling
from gittrack.launch.link.batches import batches
from gittrack.launch.link.patience import ANSWER
from gittrack.launch.link.protocol import Entry, Link
from gittrack.runs import live
from gittrack.store import durable
from gittrack.store.content import Content, chunk_key

FILES = "files"
AT_ONCE_BYTES, AT_ONCE = 16 << 20, 200  # what is read in one turn: memory, and the length of a command
_WHOLE_AT_ONCE = 1000
_AT_ONCE_FILE = 4 << 20  # bytes of a file that is not read while it comes
_PIECE = 1 << 20
_ROOM, _SHARE = 256 << 20, 8  # bytes that the disk keeps for others, but no more than so many times a file

# $1, $2, $3 and so on: path, offset, size. Nothing is followed out of the folder: a journal that is a link only for the
# moment it is opened is told by what was opened. (Other files are known by their digests.)
READ_MANY = """
while [ $# -ge 3 ]
do  [ -f "$1" ] && ! [ -L "$1" ] && exec 3< "$1" || exit 44
    case ${1##*/} in
    *.*) ! [ -e /proc/self/fd/3 ] || [ "$(readlink /proc/self/fd/3)" = "$1" ] || exit 44 ;;
    esac
    tail -c "+$(($2 + 1))" <&3 2>/dev/null | head -c "$3" || exit 47
    shift 3
done
"""

# $1: folder, $2: bytes of all, then names. One process for all; another content than their digests say is noticed.
READ_WHOLE = """
cd -- "$1" || exit 44
most=$2
shift 2
for f
do  [ -f "$f" ] && ! [ -L "$f" ] || exit 44
done
cat -- "$@" | head -c "$most"
"""

Show = Callable[[int, int], None]


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


def _read_whole(link: Link, folder: str, files: Sequence[Wanted]) -> list[bytes] | None:
    """As `read_many`, of whole files of a folder that are named by their digests."""
    size = sum(file.size for file in files)
    names = [file.sha256 for file in files]
    done = link.run(shelling.script(READ_WHOLE, folder, str(size), *names), check=False, seconds=ANSWER)
    if done.code or len(done.out) != size:
        return None
    ends = itertools.accumulate(file.size for file in files)
    return [done.out[end - file.size : end] for file, end in zip(files, ends, strict=True)]


def make_sure_of_room(directory: str, size: int) -> None:
    """Raises CannotWrite where so many bytes more would leave the disk none."""
    free = shutil.disk_usage(directory).free
    if free < size + min(_ROOM, _SHARE * size):
        raise errors.CannotWrite(
            f"there is no room for {size:,} bytes of a run: {free:,} bytes are free",
            "nothing is lost, the host has it; make room, then run the command again",
        )


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
        for some in batches(whole, _WHOLE_AT_ONCE, AT_ONCE_BYTES):
            make_sure_of_room(self._directory, sum(file.size for file in some))
            folder = f"{self._job}/run/{parcels.BLOBS}"
            found = _read_whole(self._link, folder, some) or [
                self._one(Part(f"{folder}/{file.sha256}", 0, file.size)) for file in some
            ]
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
        path = f"{self._job}/run/{FILES}/{file.sha256}"
        if file.size <= _AT_ONCE_FILE:
            make_sure_of_room(self._directory, file.size)
            data = self._one(Part(path, 0, file.size))
            self._progress(len(data))
            if is_right(data, file):
                self._content.put_bytes(data)
                return True
            return False
        part = os.path.join(self._directory, FILES, file.sha256 + ".part")
        os.makedirs(os.path.dirname(part), exist_ok=True)
        for _ in range(2):
            with contextlib.closing(Arrived(part, self._content.store)) as arrived:
                make_sure_of_room(self._directory, file.size - arrived.size)
                right = arrived.size <= file.size and self._stored(file, path, arrived)
            if right or not arrived.size:
                break
            forget(part)  # what an earlier try had left was wrong: a disk that lost power
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return right

    def _stored(self, file: Wanted, path: str, arrived: Arrived) -> bool:
        try:
            index = Index(functools.partial(self._read, path), file.size)
        except OSError:
            return False
        with contextlib.closing(self._pieces(path, file.size, arrived)) as pieces:
            coming = Arriving(pieces)
            try:
                kept = self._content.put_stream(cast(BinaryIO, coming), file.size, cast(BinaryIO, index), arrived.add)
            except BaseException:
                with contextlib.suppress(errors.GittrackError):  # there is an error already
                    self._content.flush()
                raise
        if coming.error is not None and not isinstance(coming.error, FileNotFoundError):
            raise coming.error
        return kept.sha256 == file.sha256 and kept.size == file.size

    def _pieces(self, path: str, size: int, arrived: Arrived) -> Generator[bytes, None, None]:
        """A file that does not end is left where it should have ended: whether it is right, its digest says."""
        at = 0
        for chunk in arrived.chunks:
            at += chunk.size
            self._progress(chunk.size)
            yield self._content.store.get(chunk_key(chunk.sha256))
        with contextlib.suppress(_Enough), self._link.reading(path, at) as read:
            while data := read(_PIECE):
                data = data[: size - at]
                if not data:
                    raise _Enough
                at += len(data)
                yield data
                self._progress(len(data))  # who hears of it may ask the host, which fails where the line has broken

    def _read(self, path: str, places: Sequence[tuple[int, int]]) -> list[bytes] | None:
        found: list[bytes] = []
        for at in range(0, len(places), AT_ONCE):
            some = read_many(self._link, [Part(path, offset, size) for offset, size in places[at : at + AT_ONCE]])
            if some is None:
                return None
            found += some
        return found


class _Gone(Exception):
    """The host had it, and has not any more."""


class _Enough(Exception):
    """Nobody wants the rest."""
