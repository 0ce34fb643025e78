"""Reading all that a store has of some files, and looking at every byte."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from gittrack import errors
from gittrack.store import transfer
from gittrack.store.content import Content, Progress, chunk_key, list_key
from gittrack.store.transfer import File
from gittrack.store.verify import is_right


class Checked(NamedTuple):
    """`missing` and `damaged` are files; `bad` the objects whose bytes are not those of their names."""

    files: int = 0  # that are whole
    size: int = 0
    missing: tuple[File, ...] = ()
    damaged: tuple[File, ...] = ()
    bad: tuple[str, ...] = ()


def check(
    content: Content, files: Iterable[tuple[str, int]], workers: int, progress: Progress | None = None
) -> Checked:
    """Read every file. Raises StoreFailed when the store does not answer."""
    wanted = [*dict.fromkeys(File(*each) for each in files)]
    states: dict[File, str] = {}
    bad: set[str] = set()
    with ThreadPoolExecutor(max(1, workers), "check") as pool:
        try:
            for file, state, spoilt in transfer.in_parallel(pool, wanted, lambda file: _look(content, file)):
                states[file] = state
                bad.update(spoilt)
                if progress:
                    progress(file.size)
        except BaseException:  # nobody wants to wait for the rest of what will not be told
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    whole = [file for file in wanted if not states[file]]
    missing, damaged = (tuple(file for file in wanted if states[file] == word) for word in ("missing", "damaged"))
    return Checked(len(whole), sum(file.size for file in whole), missing, damaged, tuple(sorted(bad)))


def repair(content: Content, found: Checked, sources: Iterable[Content], workers: int) -> Checked:
    """Put good bytes where bad ones are, and what is missing, from the first source that has them. What is left then.

    Bad objects are removed first: nobody could use them, and a copy would take them for the right ones.
    """
    content.store.delete(found.bad)
    left = [*found.missing, *found.damaged]
    for source in sources:
        if left:
            report = transfer.copy(source, content, left, workers)
            left = [*report.missing, *report.damaged]
    content.flush()
    whole = [file for file in (*found.missing, *found.damaged) if file not in left]
    return found._replace(
        files=found.files + len(whole),
        size=found.size + sum(file.size for file in whole),
        missing=tuple(file for file in found.missing if file in left),
        damaged=tuple(file for file in found.damaged if file in left),
        bad=(),
    )


def _look(content: Content, file: File) -> tuple[File, str, list[str]]:
    try:
        content.verify(*file)
    except errors.MissingContent:
        return file, "missing", []
    except errors.CorruptContent:
        return file, "damaged", _bad(content, file)
    return file, "", []


def _bad(content: Content, file: File) -> list[str]:
    """Which of its objects are damaged: chunks, or else the list, which names others than those of this file."""
    try:
        chunks = [chunk_key(chunk.sha256) for chunk in content.chunks(*file)]
    except (errors.MissingContent, errors.CorruptContent):
        return [list_key(file.sha256)]
    return [key for key in chunks if _is_damaged(content, key)] or [list_key(file.sha256)]


def _is_damaged(content: Content, key: str) -> bool:
    try:
        return not is_right(key, content.store.get(key))
    except errors.CorruptContent:
        return True
    except errors.MissingContent:
        return False
