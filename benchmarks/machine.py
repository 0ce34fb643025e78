"""The machine in one line: what figures without it would not say."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version


def describe(scratch: str) -> str:
    """Processor, memory, file system of the scratch folder, and the versions that matter."""
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("typer", "pygit2"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB memory, {_file_system(scratch)}, "
        f"{platform.system()} {platform.release()}{_priority()}; git {git}, "
        f"Python {sys.version.split()[0]}, {libraries}"
    )


def _priority() -> str:
    """Said where the benchmarks were put ahead of everything else, which makes a busy machine look like a quiet one."""
    scheduler = getattr(os, "sched_getscheduler", None)  # Linux only
    real_time = scheduler is not None and scheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)
    return ", at real-time priority" if real_time else ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that Linux has no name for
        return platform.machine()


def _file_system(path: str) -> str:
    """The type of the file system below `path`, where the system tells."""
    best, kind = "", "unknown file system"
    try:
        with open("/proc/mounts") as file:
            for line in file:
                _, mount, found = line.split()[:3]
                if os.path.realpath(path).startswith(mount) and len(mount) > len(best):
                    best, kind = mount, found
    except OSError:  # not Linux
        pass
    return kind
