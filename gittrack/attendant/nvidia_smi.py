"""NVIDIA GPUs by the driver's own command, which the engine puts into a container that may use them.

The same facts and series as `record/nvidia.py` has by the driver's library. A process of its own: whatever is wrong
with a driver, the first process of the container lives.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from typing import Any

_COMMAND = "nvidia-smi"
_PATIENCE = 30.0  # seconds: it opens the driver anew each time, and waits for a GPU that is being reset
_MIB = 1024 * 1024


def describe() -> list[dict[str, Any]]:
    """Name, memory and driver of each GPU; empty when the driver does not answer."""
    return [
        {"driver": driver, "memory": int(memory) * _MIB, "name": name}
        for driver, memory, name in _query(("driver_version", "memory.total", "name"))
        if memory.isdigit()
    ]


def sample() -> dict[str, float]:
    """Series of each GPU as of now. A value that a model does not report is left out."""
    values: dict[str, float] = {}
    for number, row in enumerate(_query(("utilization.gpu", "memory.used", "temperature.gpu", "power.draw"))):
        for (name, unit), text in zip(_SERIES, row):
            with contextlib.suppress(ValueError):  # [N/A], [Not Supported]
                values[f"system/gpu{number}/{name}"] = round(float(text) * unit, 1)
    return values


_SERIES = (("util_percent", 1.0), ("memory_mb", _MIB / 1e6), ("temperature_c", 1.0), ("power_w", 1.0))


def _query(fields: Sequence[str]) -> list[list[str]]:
    argv = [_COMMAND, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[word.strip() for word in line.split(",", len(fields) - 1)] for line in done.stdout.decode().splitlines()]
    return [row for row in rows if len(row) == len(fields)]
