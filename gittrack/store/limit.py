"""A store that takes no more than so many bytes per second, all threads together. Only what is sent counts."""

import threading
import time

from gittrack.store.base import Bytes, Store
from gittrack.store.wrapper import WrapperStore


class LimitStore(WrapperStore):
    """Each put waits until what was sent before it has had its time."""

    def __init__(self, store: Store, rate: int) -> None:
        super().__init__(store)
        self._rate = rate
        self._lock = threading.Lock()
        self._free = 0.0  # when the line is free again, by the monotonic clock

    def put(self, key: str, data: Bytes) -> None:
        length = memoryview(data).nbytes
        with self._lock:
            start = max(self._free, time.monotonic())
            self._free = start + length / self._rate
        time.sleep(max(0.0, start - time.monotonic()))
        self._store.put(key, data)
