"""The same work on several things at once, where it waits for the disk or lets go of the interpreter."""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


def each(work: Callable[[T], object], items: Iterable[T], threads: int) -> None:
    """`work` on every item, in no order, by up to so many threads, this one among them. Raises what a `work` raised."""
    rest = list(items)
    helpers = [_Helper(work, rest) for _ in range(min(threads, len(rest)) - 1)]
    for helper in helpers:
        helper.start()
    try:
        _take(work, rest)
    finally:
        for helper in helpers:
            helper.join()
    for helper in helpers:
        if helper.error is not None:
            raise helper.error


def _take(work: Callable[[T], object], rest: list[T]) -> None:
    try:
        while True:
            try:
                item = rest.pop()
            except IndexError:
                return
            work(item)
    except BaseException:
        rest.clear()  # the others stop as well
        raise


class _Helper(threading.Thread, Generic[T]):
    """Keeps an error for who waits."""

    def __init__(self, work: Callable[[T], object], rest: list[T]) -> None:
        super().__init__(name="gittrack-objects", daemon=True)
        self._task = (work, rest)
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            _take(*self._task)
        except Exception as error:  # noqa: BLE001  raised again where it can be handled: by the thread that waits
            self.error = error
