"""Work in a thread that nobody has to wait for: one who presses Ctrl-C while a host does not answer is free at once.

(The threads of concurrent.futures are joined when the interpreter ends, however long that takes.)
"""

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

T = TypeVar("T")
_PATIENCE = 5.0  # seconds, with what is interrupted
OFTEN = 3600.0  # seconds; a wait with an end can be interrupted by signals on every system


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
        return self._over.wait(seconds)

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
    """Do all of them at once. All are waited for; raises what the first of them raised. Who presses Ctrl-C waits for
    little: `halted` makes them fail. (None is done here, where Ctrl-C would tear what is being sent.)"""
    begun = [Later(work) for work in works]
    problems: list[Exception] = []
    for one in reversed(begun):
        try:
            one.result()
        except Exception as error:  # noqa: BLE001 - raised below: but nothing may go on in the background
            problems.append(error)
        except BaseException:
            end = time.monotonic() + _PATIENCE
            with halted():
                for other in begun:
                    other.wait(max(0.0, end - time.monotonic()))
            raise
    if problems:
        raise problems[0]
