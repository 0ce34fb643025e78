"""CPU and memory of the machine and of a tree of processes. The one door of psutil."""

import contextlib
import time

import psutil

_Times = dict[tuple[int, float], float]


class Usage:
    """Samples since the last sample. The first one has no rate of the processes yet."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._times: _Times = {}
        self._at: float | None = None
        psutil.cpu_percent(None)  # the first call only sets the mark

    def sample(self) -> dict[str, float]:
        values = {
            "system/cpu_percent": psutil.cpu_percent(None),
            "system/memory_percent": psutil.virtual_memory().percent,
        }
        now, memory, times = time.monotonic(), 0, _Times()
        for process in self._tree():
            with contextlib.suppress(psutil.Error), process.oneshot():
                spent = process.cpu_times()
                memory += process.memory_info().rss
                times[process.pid, process.create_time()] = spent.user + spent.system
        if times:
            values["system/process_memory_mb"] = round(memory / 1e6, 1)
            if self._at is not None and now > self._at:
                used = sum(spent - self._times.get(key, 0.0) for key, spent in times.items())
                values["system/process_cpu_percent"] = round(100 * used / (now - self._at), 1)
        self._times, self._at = times, now
        return values

    def _tree(self) -> list[psutil.Process]:
        try:
            top = psutil.Process(self._pid)
            return [top, *top.children(recursive=True)]
        except psutil.Error:
            return []


def low_disk_priority() -> None:
    """Let others read and write first, where the system knows such a thing."""
    with contextlib.suppress(psutil.Error, OSError, AttributeError, ValueError):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, 7)
