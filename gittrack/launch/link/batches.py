"""Many small files travel in few turns, of so many files and bytes that neither memory nor a command overflows."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class _Sized(Protocol):
    @property
    def size(self) -> int: ...  # bytes


T = TypeVar("T", bound=_Sized)


def batches(files: Iterable[T], most: int, most_bytes: int) -> Iterator[list[T]]:
    """In their order, at most `most` with `most_bytes` together; a file that is larger by itself goes alone."""
    batch: list[T] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= most or size + file.size > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
