"""Files by their sha256 in a store: cut into chunks on the way in, put together and verified on the way out.

    chunks/<aa>/<sha256>    the bytes of one chunk
    files/<aa>/<sha256>     the chunk list of a file of several chunks

A file of one chunk is that chunk, and an empty file is nothing. A list is put after its chunks.
"""

import contextlib
import functools
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

from gittrack import errors
from gittrack.lazy import lazy
from gittrack.store import chunklist, reassemble
from gittrack.store.base import Store
from gittrack.store.chunklist import Chunk
from gittrack.store.hashing import Beside, Whole

Progress = Callable[[int], None]  # bytes done since the last call
EMPTY = hashlib.sha256().hexdigest()
CHUNKS, FILES = "chunks/", "files/"
_ONE_CHUNK = 4 * 1024 * 1024  # files up to this are mostly one chunk: look for that first
_BUFFER = 64 * 1024


class Kept(NamedTuple):
    """A file that is in the store."""

    sha256: str
    size: int
    new: int  # bytes that were not in the store before


class Content:
    """The files in a store.

    `known` is how the store is asked for the size of an object that a new file is going to rely on; `workers`, how many
    chunks are fetched at once; `storing` is entered for as long as a file is put: nobody cleans up meanwhile.
    """

    def __init__(
        self,
        store: Store,
        known: Callable[[str], int | None] | None = None,
        workers: int = 1,
        storing: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.store = store
        self._storing = storing
        self._workers = workers
        self._known = known or store.size

    def put_file(self, path: str, progress: Progress | None = None, durable: bool = True) -> Kept:
        """Keep the file at `path`, as it is while it is read; OSError when it cannot be.

        `durable=False` leaves making it durable to a later call, or to `flush`: for many small files.
        """
        kept = (lambda chunk: progress(chunk.size)) if progress else None
        with self._storing(), open(path, "rb", buffering=0) as file:
            return self._put(file, os.fstat(file.fileno()).st_size, durable, kept)

    def put_stream(self, file: BinaryIO, size: int, index: BinaryIO, kept: Callable[[Chunk], object]) -> Kept:
        """Keep what `file` gives from its start to its end, which is believed to have `size` bytes. `index`: the same,
        to be read in any order, as far as where it is cut depends on more than what has come. `kept`: hears of each
        chunk that is in the store, though only `flush`, or the return of this, makes it durable."""
        with self._storing():
            return self._put(file, size, True, kept, index)

    def put_bytes(self, data: bytes, durable: bool = True) -> Kept:
        with self._storing():
            return self._put(io.BytesIO(data), len(data), durable)

    def storing(self) -> contextlib.AbstractContextManager[None]:
        """For who puts objects himself, and relies on those that are there: nobody cleans up meanwhile."""
        return self._storing()

    def flush(self) -> None:
        """What was put with `durable=False` is durable."""
        self.store.flush()

    def bring(self, files: Iterable[tuple[str, int]]) -> None:
        """These are going to be read: who is dearly asked for each alone may fetch them together."""

    def has(self, sha256: str, size: int) -> bool:
        """Whether the whole file is there, by the sizes of its chunks."""
        try:
            return all(self.store.size(chunk_key(chunk.sha256)) == chunk.size for chunk in self.chunks(sha256, size))
        except (errors.MissingContent, errors.CorruptContent):
            return False

    def chunks(self, sha256: str, size: int) -> list[Chunk]:
        """Of what the file is made. Raises MissingContent, CorruptContent."""
        if size == 0 and sha256 == EMPTY:
            return []
        unsure: errors.StoreFailed | None = None
        for look in (self._single, self._listed) if size <= _ONE_CHUNK else (self._listed, self._single):
            try:
                found = look(sha256, size)
            except errors.StoreFailed as error:
                if not error.partly:
                    raise
                unsure = unsure or error
                continue
            if found is not None:
                return found
        raise unsure or missing(sha256, self.store.url)

    def objects(self, sha256: str, size: int) -> list[str]:
        """The keys of all that the file needs, its chunk list last."""
        chunks = self.chunks(sha256, size)
        keys = list(dict.fromkeys(chunk_key(chunk.sha256) for chunk in chunks))
        return keys if is_single(chunks, sha256) else [*keys, list_key(sha256)]

    def named(self, sha256: str) -> list[str]:
        """The keys that are here of all that a file of this digest may need, however large somebody says that it is.

        Raises CorruptContent for a list that cannot be read: what it names cannot be known.
        """
        single = [key for key in (chunk_key(sha256),) if self.store.size(key) is not None]
        try:
            chunks = chunklist.decode(self.store.get(list_key(sha256)), sha256, None)
        except errors.MissingContent:
            return single
        return list(dict.fromkeys([*single, *(chunk_key(chunk.sha256) for chunk in chunks), list_key(sha256)]))

    def copy_to(self, sha256: str, size: int, path: str, mode: int = 0o644, progress: Progress | None = None) -> None:
        """Write the file to `path`, replacing what has that name (a link itself, not what it points to).

        `mode` goes through the umask, as in a git checkout. Nothing is left when it fails.
        """
        chunks = self.chunks(sha256, size)

        def fill(sink: reassemble.Sink) -> None:
            self._stream(sha256, chunks, sink, progress)

        reassemble.write(path, mode, fill)

    def open(self, sha256: str, size: int, whole: bool = False) -> BinaryIO:
        """The file, to be read in any order: only the chunks that are needed are fetched, and each is verified.

        That the chunk list itself names the right chunks, only who reads all can tell: `whole` does so first.
        """
        chunks = self.chunks(sha256, size)
        if whole:
            self._stream(sha256, chunks, _drop, None)
        reader = reassemble.Reader(lambda chunk: self._fetch(sha256, chunk), sha256, chunks)
        return io.BufferedReader(reader, _BUFFER)

    def pieces(self, sha256: str, size: int) -> Iterator[bytes]:
        """All of it, in order, a chunk at a time. That it was the right one is known at its end: CorruptContent."""
        return self._pieces(sha256, self.chunks(sha256, size))

    def read(self, sha256: str, size: int) -> bytes:
        """All of it, verified."""
        parts: list[bytes] = []
        self._stream(sha256, self.chunks(sha256, size), parts.append, None)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def verify(self, sha256: str, size: int, progress: Progress | None = None) -> None:
        """Read the whole file and compare. Raises MissingContent, CorruptContent."""
        self._stream(sha256, self.chunks(sha256, size), _drop, progress)

    def _stream(self, sha256: str, chunks: list[Chunk], sink: reassemble.Sink, progress: Progress | None) -> None:
        for data in self._pieces(sha256, chunks):
            sink(data)
            if progress:
                progress(len(data))

    def _pieces(self, sha256: str, chunks: list[Chunk]) -> Iterator[bytes]:
        return reassemble.pieces(lambda chunk: self._fetch(sha256, chunk), sha256, chunks, self._workers)

    def _put(
        self,
        file: BinaryIO,
        size: int,
        durable: bool,
        kept: Callable[[Chunk], object] | None = None,
        index: BinaryIO | None = None,
    ) -> Kept:
        chunks: list[Chunk] = []
        new = 0

        def keep(data: memoryview) -> None:
            nonlocal new
            chunk = Chunk(hashlib.sha256(data).hexdigest(), len(data))
            if self._known(chunk_key(chunk.sha256)) != chunk.size:
                self.store.put(chunk_key(chunk.sha256), data)
                new += chunk.size
            chunks.append(chunk)
            if kept:
                kept(chunk)

        with Whole() as whole, Beside(index is not None) as beside:
            chunker = cast(Any, lazy("gittrack.store.chunker"))
            several = False
            for part in chunker.cut(file, size, index):
                if isinstance(part, chunker.Window):
                    beside.wait()
                    whole.update(part.data)
                    continue
                if several := several or not part.last:
                    whole.start()
                beside.do(functools.partial(keep, part.data))
            beside.wait()
            sha256 = chunks[0].sha256 if len(chunks) == 1 else whole.hexdigest()
        if len(chunks) > 1:
            new += self._put_list(sha256, chunks)
        if durable:
            self.store.flush()
        return Kept(sha256, sum(chunk.size for chunk in chunks), new)

    def _put_list(self, sha256: str, chunks: list[Chunk]) -> int:
        text = chunklist.encode(chunks)
        if self._known(list_key(sha256)) is not None:
            try:
                if self.chunks(sha256, sum(chunk.size for chunk in chunks)) == chunks:
                    return 0
            except errors.CorruptContent:
                pass
        self.store.put(list_key(sha256), text)
        return len(text)

    def _single(self, sha256: str, size: int) -> list[Chunk] | None:
        found = self.store.size(chunk_key(sha256))
        return [Chunk(sha256, size)] if found == size else None

    def _listed(self, sha256: str, size: int) -> list[Chunk] | None:
        try:
            return chunklist.decode(self.store.get(list_key(sha256)), sha256, size)
        except errors.MissingContent:
            return None

    def _fetch(self, sha256: str, chunk: Chunk) -> bytes:
        try:
            data = self.store.get(chunk_key(chunk.sha256))
        except errors.MissingContent:
            raise missing(sha256, self.store.url) from None
        if len(data) != chunk.size:
            raise chunklist.corrupt(sha256, f"its chunk {chunk.sha256} has {len(data)} bytes, not {chunk.size}")
        return data


def _drop(_: bytes) -> None:
    """Where the bytes of a file go that is only verified."""


def chunk_key(sha256: str) -> str:
    return f"{CHUNKS}{sha256[:2]}/{sha256}"


def list_key(sha256: str) -> str:
    return f"{FILES}{sha256[:2]}/{sha256}"


def missing(sha256: str, place: str) -> errors.MissingContent:
    hint = "`git track store pull` fetches it, where the run was recorded `git track store push` sends it"
    return errors.MissingContent(f"the artifact {sha256} is not in {place}", hint)


def is_single(chunks: list[Chunk], sha256: str) -> bool:
    """Whether a file of these chunks needs no list of them."""
    return [chunk.sha256 for chunk in chunks] in ([], [sha256])
