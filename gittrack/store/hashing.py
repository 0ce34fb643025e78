"""The sha256 of a whole file, computed by a second thread while the first one reads, cuts and writes.

hashlib lets go of the interpreter, so with two cores the file's own digest costs no time beside that of its chunks.
"""

import hashlib
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
