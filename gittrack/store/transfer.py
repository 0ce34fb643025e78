"""Copying files from one store to another: pushing, fetching, moving.

Nothing is remembered between two calls. What the target has is asked of the target, so a copy that was interrupted by
anything goes on where it was when it is called again, and bytes that other files brought there are not sent twice.
Chunks go before the list that names them: a list at the target stands for a whole file. Memory holds one chunk per
worker.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeVar

from gittrack import errors
from gittrack.store import chunklist
from gittrack.store.base import Store
from gittrack.store.chunklist import Chunk
from gittrack.store.content import FILES, Content, Progress, chunk_key, is_single, list_key
from gittrack.store.verify import damaged, is_right

WORKERS = 12
_BATCH_FILES, _BATCH_BYTES = 1000, 2_000_000_000
_ASK_SINGLY = 4  # objects of one folder: for more, one listing is cheaper than asking for each

_Sized = TypeVar("_Sized", bound=tuple[str, int])
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class File(NamedTuple):
    sha256: str
    size: int


class Report(NamedTuple):
    """What a copy did. `missing` and `damaged` are files of which the source has no good bytes, nor has the target."""

    files: int = 0  # that the target has now
    size: int = 0  # of these files
    objects: int = 0  # sent
    sent: int = 0  # bytes of them
    missing: tuple[File, ...] = ()
    damaged: tuple[File, ...] = ()
    before: int = 0  # files that the target had already
    size_before: int = 0  # of these

    def plus(self, other: "Report") -> "Report":
        return Report(
            self.files + other.files,
            self.size + other.size,
            self.objects + other.objects,
            self.sent + other.sent,
            self.missing + other.missing,
            self.damaged + other.damaged,
            self.before + other.before,
            self.size_before + other.size_before,
        )


class Parts(NamedTuple):
    """A file and of what it is made; `state` says why that is not known."""

    file: File
    chunks: tuple[Chunk, ...] = ()
    listed: bool = False  # whether it needs a chunk list
    state: str = ""  # "", "there" (only the target has it, which is enough), "missing", "damaged"


def copy(
    source: Content,
    target: Content,
    files: Iterable[tuple[str, int]],
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> Report:
    """See to it that the target has all files. Raises StoreFailed, CannotWrite when it cannot go on.

    `progress` is told bytes of files, whether they had to be sent or not.
    """
    total = Report()
    present = _Present(target.store)
    with _kept(target), target.storing(), _Pool(workers) as pool:
        for batch in _files(files):
            total = total.plus(_copy_batch(pool, source, target, batch, present, progress or _silent))
    return total


def lacking(source: Content, target: Content, files: Iterable[tuple[str, int]], workers: int = WORKERS) -> Report:
    """What `copy` would do: `objects` and `sent` are what it would send. Changes nothing."""
    total = Report()
    present = _Present(target.store)
    with _Pool(workers) as pool:
        for batch in _files(files):
            parts = [*in_parallel(pool, batch, lambda file: _parts(source, target, file))]
            needed = _needed(pool, present, parts)
            present.add(needed)
            total = total.plus(_report(parts, needed, needed, 0))
    return total


def _copy_batch(
    pool: ThreadPoolExecutor,
    source: Content,
    target: Content,
    batch: list[File],
    present: "_Present",
    progress: Progress,
) -> Report:
    parts = [*in_parallel(pool, batch, lambda file: _parts(source, target, file))]
    needed = _needed(pool, present, parts)
    chunks = {key: size for key, size in needed.items() if not key.startswith(FILES)}
    progress(sum(file.size for file in batch) - sum(chunks.values()))
    bad: dict[str, str] = {}
    for key, trouble in in_parallel(pool, chunks, lambda key: _send(source.store, target.store, key)):
        progress(chunks[key])
        if trouble:
            bad[key] = trouble
    parts = [_judged(part, bad) for part in parts]
    lists = [part for part in parts if part.listed and not part.state and list_key(part.file.sha256) in needed]
    target.flush()
    for _ in in_parallel(pool, lists, lambda part: _send_list(target.store, part)):
        pass
    target.flush()
    sent = {key: size for key, size in needed.items() if key in chunks and key not in bad}
    present.add(sent)
    return _report(parts, needed, sent, len(lists))


def _report(parts: list[Parts], needed: dict[str, int], sent: dict[str, int], lists: int) -> Report:
    whole = [part for part in parts if part.state in ("", "there")]
    before = [part for part in whole if needed.keys().isdisjoint(_keys(part))]
    return Report(
        len(whole),
        sum(part.file.size for part in whole),
        len(sent) + lists,
        sum(sent.values()),
        tuple(part.file for part in parts if part.state == "missing"),
        tuple(part.file for part in parts if part.state == "damaged"),
        len(before),
        sum(part.file.size for part in before),
    )


def _keys(part: Parts) -> dict[str, int]:
    """The objects that make up a file, with their sizes. The size of a list is not known: 0."""
    keys = {chunk_key(chunk.sha256): chunk.size for chunk in part.chunks}
    return {**keys, list_key(part.file.sha256): 0} if part.listed else keys


def _parts(source: Content, target: Content, file: File) -> Parts:
    try:
        chunks = source.chunks(file.sha256, file.size)
    except (errors.MissingContent, errors.CorruptContent) as error:
        if target.has(file.sha256, file.size):
            return Parts(file, state="there")
        return Parts(file, state="missing" if isinstance(error, errors.MissingContent) else "damaged")
    return Parts(file, tuple(chunks), not is_single(chunks, file.sha256))


def _needed(pool: ThreadPoolExecutor, present: "_Present", parts: list[Parts]) -> dict[str, int]:
    """The objects that the target lacks, each once."""
    keys: dict[str, int] = {}
    for part in parts:
        keys.update(_keys(part))
    present.learn(pool, keys)
    return {key: size for key, size in keys.items() if not present.has(key, size)}


def _send(source: Store, target: Store, key: str) -> tuple[str, str]:
    """The key, and what is wrong with it at the source."""
    try:
        data = source.get(key)
        if not is_right(key, data):
            raise damaged(key, source.url)
    except errors.MissingContent:
        return key, "missing"
    except errors.CorruptContent:
        return key, "damaged"
    target.put(key, data)
    return key, ""


def _send_list(target: Store, part: Parts) -> None:
    target.put(list_key(part.file.sha256), chunklist.encode(part.chunks))


def _judged(part: Parts, bad: dict[str, str]) -> Parts:
    troubles = {bad.get(chunk_key(chunk.sha256), "") for chunk in part.chunks} if bad else set()
    worst = next((word for word in ("damaged", "missing") if word in troubles), "")
    return part._replace(state=worst) if worst else part


@contextlib.contextmanager
def _kept(target: Content) -> Iterator[None]:
    """What was put before a failure or an interrupt stays."""
    try:
        yield
    except BaseException:  # also Ctrl-C: otherwise its user would wait for the same bytes again
        with contextlib.suppress(errors.GittrackError):
            target.flush()
        raise


class _Present:
    """What is known to be in a store. Each folder is listed once at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[str, int] = {}
        self._listed: set[str] = set()

    def learn(self, pool: ThreadPoolExecutor, keys: Iterable[str]) -> None:
        folders: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            folder = key.rpartition("/")[0] + "/"
            if folder not in self._listed and key not in self._sizes:
                folders[folder].append(key)
        whole = [folder for folder, inside in folders.items() if len(inside) > _ASK_SINGLY]
        single = [key for inside in folders.values() if len(inside) <= _ASK_SINGLY for key in inside]
        for found in in_parallel(
            pool, whole, lambda folder: {each.key: each.size for each in self._store.list(folder)}
        ):
            self._sizes.update(found)
        self._listed.update(whole)
        for key, size in in_parallel(pool, single, lambda key: (key, self._store.size(key))):
            if size is not None:
                self._sizes[key] = size

    def has(self, key: str, size: int) -> bool:
        found = self._sizes.get(key)
        return found is not None and (found == size or key.startswith(FILES))

    def add(self, objects: dict[str, int]) -> None:
        self._sizes.update(objects)


class _Pool(ThreadPoolExecutor):
    """Left by an exception, it begins nothing more: what is under way ends, and the next call goes on from there."""

    def __init__(self, workers: int) -> None:
        super().__init__(max(1, workers), "transfer")

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)


def in_parallel(
    pool: ThreadPoolExecutor, items: Iterable[_Item], work: Callable[[_Item], _Result]
) -> Iterator[_Result]:
    """The results as they come. The first exception ends it."""
    waiting: set[Future[_Result]] = set()
    for item in items:
        waiting.add(pool.submit(work, item))
        if len(waiting) >= 64:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


def batches(sized: Iterable[_Sized], most_bytes: int, most: int) -> Iterator[list[_Sized]]:
    """Pairs of what and how large, in the given order, cut before a limit is passed; what is above it goes alone."""
    batch: list[_Sized] = []
    size = 0
    for one in sized:
        if batch and (size + one[1] > most_bytes or len(batch) == most):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one[1]
    if batch:
        yield batch


def _files(given: Iterable[tuple[str, int]]) -> Iterator[list[File]]:
    return batches(dict.fromkeys(File(*each) for each in given), _BATCH_BYTES, _BATCH_FILES)


def _silent(done: int) -> None:
    del done
