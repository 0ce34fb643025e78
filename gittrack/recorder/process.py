"""Who is writing: the facts by which another process, later, tells a dead writer from a living one.

A pid alone is reused; with the boot, the pid namespace and the kernel's start time it names one process for good.
"""

from __future__ import annotations

import binascii
import os
import sys

if sys.platform == "darwin":
    from .darwin import boot_id, start_time
else:

    def boot_id() -> str | None:
        """This boot of the kernel."""
        return _read("/proc/sys/kernel/random/boot_id") or None

    def start_time() -> int | None:
        """Start of this process in clock ticks since boot."""
        fields = _read("/proc/self/stat").rpartition(")")[2].split()  # the name before it may hold spaces and brackets
        return int(fields[19]) if len(fields) > 19 else None


def machine_id() -> str | None:
    """Which machine, over reboots: a checksum of the machine id, which itself is not for publication (machine-id(5)).

    None in containers and on systems that have none; then only the boot speaks.
    """
    text = _read("/etc/machine-id")
    return f"{binascii.crc32(text.encode()):08x}" if len(text) == 32 else None


def pid_namespace() -> int | None:
    """Inode of the pid namespace: pids of two containers cannot be compared."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def rank() -> int:
    """Rank of this process in a distributed run (torchrun and the like), 0 when there is none."""
    text = os.environ.get("RANK", "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else 0


def facts() -> dict[str, object]:
    """The fields of the `process` line, but for its times."""
    return {
        "boot": boot_id(),
        "format": 2,
        "host": os.uname().nodename,
        "machine": machine_id(),
        "pid": os.getpid(),
        "pidns": pid_namespace(),
        "ppid": os.getppid(),
        "rank": rank(),
        "started": start_time(),
    }


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4096).decode(errors="replace").strip()
    finally:
        os.close(fd)
