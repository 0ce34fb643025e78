"""The sha256 of a whole file, computed by a second thread while the first one reads, cuts and writes. Of a file that
comes from a network, the chunks are hashed and written by a third one while more of it comes.

hashlib and the system let go of the interpreter, so with two cores these cost no time beside the rest.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from gittrack.store.base import Bytes


class Whole:
    """Takes the file stretch by stretch. It starts to hash when it is told to: a file of one chunk does not need it."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._before: list[Bytes] = []
        self._thread: ThreadPoolExecutor | None = None
        self._busy: Future[None] | None = None

    def __enter__(self) -> "Whole":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def start(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "gittrack-sha256")
            for data in self._before:
                self.update(data)
            self._before.clear()

    def update(self, data: Bytes) -> None:
        """`data` must not change before the next call has returned, which waits for this one's work."""
        if self._thread is None:
            self._before.append(data)
            return
        self._wait()
        self._busy = self._thread.submit(self._digest.update, data)

    def hexdigest(self) -> str:
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._busy is not None:
            self._busy.result()


class Beside:
    """Does one thing after the other in a thread of its own; at once if it is not `to_be_used`. After a failure it does
    nothing more."""

    def __init__(self, to_be_used: bool) -> None:
        self._thread = ThreadPoolExecutor(1, "gittrack-chunks") if to_be_used else None
        self._doing: list[Future[None]] = []
        self._failed = False

    def __enter__(self) -> "Beside":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def do(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            work()
        else:
            self._doing.append(self._thread.submit(self._do, work))

    def wait(self) -> None:
        """Until all of it is done. Raises what the first that failed raised."""
        doing, self._doing = self._doing, []
        for each in doing:
            each.result()

    def _do(self, work: Callable[[], None]) -> None:
        if not self._failed:
            self._failed = True  # unless it comes to its end
            work()
            self._failed = False
