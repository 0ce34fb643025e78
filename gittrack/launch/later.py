"""Work in a thread that nobody has to wait for: one who presses Ctrl-C while a host does not answer is free at once.

(The threads of concurrent.futures are joined when the interpreter ends, however long that takes.)
"""

import contextlib
import functools
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
_PATIENCE = 5.0  # seconds, with what is interrupted
_LONG = 3600.0
# Seconds. A signal that comes when a wait is about to begin does not end it, on a busy machine perhaps between two
# threads that take turns: it is seen when the wait is over.
OFTEN = 0.5


class Later(Generic[T]):
    """Begins at once; `result` waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._abandoned: Callable[[T], object] | None = None
        threading.Thread(target=self._run, name="gittrack-launch", daemon=True).start()

    def result(self) -> T:
        """What it returned. Raises what it raised."""
        while not self._over.wait(OFTEN):
            pass
        if self._error is not None:
            raise self._error
        return self._found[0]

    def wait(self, seconds: float) -> bool:
        """Wait for the end, whatever it is; whether it has come."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._over.wait(min(left, OFTEN)):
                return True
        return self._over.is_set()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def abandon(self, close: Callable[[T], object]) -> None:
        """Nobody wants the result; when there is one, close it."""
        self._abandoned = close
        if self._over.is_set():
            self._close()

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            self._error = error
        self._over.set()
        if self._abandoned is not None:
            self._close()

    def _close(self) -> None:
        with contextlib.suppress(IndexError):  # it failed, or the other thread was faster
            found = self._found.pop()
            if self._abandoned is not None:
                self._abandoned(found)


def together(*works: Callable[[], object], halted: Callable[[], AbstractContextManager[object]]) -> None:
    """Do all of them at once; raises what failed first. All are waited for: nothing may go on in the background. But
    `halted` makes the others fail then, so that nobody waits for what is of no use any more; neither does who presses
    Ctrl-C. (None is done here, where Ctrl-C would tear what is being sent.)"""
    over: SimpleQueue[BaseException | None] = SimpleQueue()
    begun = [Later(functools.partial(_told, work, over)) for work in works]
    limit = _PATIENCE
    try:
        for _ in begun:
            if (problem := _first(over)) is not None:
                limit = _LONG if isinstance(problem, Exception) else _PATIENCE
                raise problem
    except BaseException:
        end = time.monotonic() + limit
        with halted():
            for other in begun:
                other.wait(max(0.0, end - time.monotonic()))
        raise


def _told(work: Callable[[], object], over: "SimpleQueue[BaseException | None]") -> None:
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - raised by who waits
        over.put(error)
    else:
        over.put(None)


def _first(over: "SimpleQueue[BaseException | None]") -> BaseException | None:
    while True:
        with contextlib.suppress(Empty):
            return over.get(timeout=OFTEN)
