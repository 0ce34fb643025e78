"""CPU and memory of the machine and of the job's processes, from /proc and the container's own limits.

The same series as `record/usage.py` takes with psutil, which is not there. Memory is a share of what the container may
have: that is what it dies of.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
_KILLED = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_NO_LIMIT = 1 << 60


class Usage:
    """Samples since the last sample. Of what needs two there is nothing in the first one."""

    def __init__(self, pid: int) -> None:
        """`pid`: the process whose descendants are the job's."""
        self._pid = pid
        self._at: float | None = None
        self._times: dict[tuple[int, int], float] = {}
        self._machine = _machine_times()

    def sample(self) -> dict[str, float]:
        values: dict[str, float] = {}
        busy, total = _machine_times()
        if total > self._machine[1]:
            share = (busy - self._machine[0]) / (total - self._machine[1])
            values["system/cpu_percent"] = round(100 * min(max(share, 0.0), 1.0), 1)
        self._machine = busy, total
        memory = _memory_percent()
        if memory is not None:
            values["system/memory_percent"] = memory
        values.update(self._processes())
        return values

    def _processes(self) -> dict[str, float]:
        now, resident, times, values = time.monotonic(), 0, {}, {}
        for pid in _descendants(self._pid):
            fields = _stat(pid)
            if len(fields) > 21:
                times[pid, int(fields[19])] = (int(fields[11]) + int(fields[12])) / _TICKS
                resident += int(fields[21]) * _PAGE
        if times:
            values["system/process_memory_mb"] = round(resident / 1e6, 1)
            if self._at is not None and now > self._at:
                used = sum(spent - self._times.get(key, 0.0) for key, spent in times.items())
                values["system/process_cpu_percent"] = round(100 * used / (now - self._at), 1)
        self._times, self._at = times, now
        return values


def going(top: int, but: Collection[int]) -> list[str]:
    """The names of the processes below `top` that have not ended, without these."""
    living = [pid for pid in _descendants(top) if pid not in but and _stat(pid)[:1] not in ([], ["Z"], ["X"])]
    return sorted({_read(f"/proc/{pid}/comm").strip() for pid in living} - {""})


def memory_limit() -> int | None:
    """Bytes that the container may have; None where there is no limit."""
    for limit, _, _ in _LIMITS:
        text = _read(limit).strip()
        if text.isdigit() and int(text) < _NO_LIMIT:
            return int(text)
    return None


def cpu_limit() -> float | None:
    """Processors' worth of time that the container may have; None where there is no limit."""
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if not period:
        quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    return round(int(quota) / int(period), 2) if quota.isdigit() and period.isdigit() and int(period) else None


def out_of_memory() -> int:
    """How many processes of the container the kernel has killed for memory."""
    for path in _KILLED:
        for line in _read(path).splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdigit():
                return int(count)
    return 0


def _memory_percent() -> float | None:
    limit = memory_limit()
    if limit:
        for _, used, stat in _LIMITS:
            text = _read(used).strip()
            if text.isdigit():
                return round(100 * max(0, int(text) - _reclaimable(stat)) / limit, 1)
    known = {}
    for line in _read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        known[name] = rest.split()[0] if rest.split() else "0"
    total, free = (int(known.get(name, 0)) for name in ("MemTotal", "MemAvailable"))
    return round(100 * (total - free) / total, 1) if total else None


def _reclaimable(path: str) -> int:
    """Cached files that nobody has touched for a while: the kernel gives them up first, as `docker stats` takes it."""
    for line in _read(path).splitlines():
        name, _, size = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and size.isdigit():
            return int(size)
    return 0


def _machine_times() -> tuple[float, float]:
    """Busy and all time of all processors."""
    first = _read("/proc/stat").partition("\n")[0].split()
    times = [int(word) for word in first[1:9]]  # guests are in user already
    return float(sum(times) - sum(times[3:5])), float(sum(times))


def _descendants(top: int) -> list[int]:
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            fields = _stat(int(name)) if name.isdigit() else []
            if len(fields) > 1:
                children.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [top]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, which is behind a name that may hold anything."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
