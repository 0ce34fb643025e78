"""What /proc says elsewhere, asked of the macOS kernel. Apart, because ctypes costs 10 ms that Linux need not pay."""

from __future__ import annotations

import ctypes
import os

_CTL_KERN, _KERN_PROC, _KERN_PROC_PID = 1, 14, 1
_KINFO_PROC_SIZE = 648  # its first 16 bytes are p_starttime: seconds, microseconds

_libc = ctypes.CDLL(None, use_errno=True)


def boot_id() -> str | None:
    """This boot of the kernel."""
    buffer = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(buffer))
    failed = _libc.sysctlbyname(b"kern.bootsessionuuid", buffer, ctypes.byref(size), None, ctypes.c_size_t(0))
    return None if failed else buffer.value.decode()


def start_time() -> int | None:
    """Start of this process in microseconds since the epoch."""
    name = (ctypes.c_int * 4)(_CTL_KERN, _KERN_PROC, _KERN_PROC_PID, os.getpid())
    buffer = ctypes.create_string_buffer(_KINFO_PROC_SIZE)
    size = ctypes.c_size_t(len(buffer))
    if _libc.sysctl(name, 4, buffer, ctypes.byref(size), None, ctypes.c_size_t(0)):
        return None
    seconds = int.from_bytes(buffer.raw[0:8], "little")
    return seconds * 1_000_000 + int.from_bytes(buffer.raw[8:12], "little")
