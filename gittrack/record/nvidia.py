"""NVIDIA GPUs by the driver's own library. The one door of pynvml; opened only where a driver is loaded."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pynvml


def describe() -> list[dict[str, Any]]:
    """Name, memory and driver of each GPU; empty when the driver does not answer."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        for handle in _handles():
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total
            found.append({"driver": driver, "memory": int(memory), "name": _text(pynvml.nvmlDeviceGetName(handle))})
    return found


def sample() -> dict[str, float]:
    """Series of each GPU as of now. A value that a model does not report is left out."""
    values: dict[str, float] = {}
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()  # counted by the library: cheap when it is open
        for number, handle in enumerate(_handles()):
            for name, read in _READINGS.items():
                with contextlib.suppress(pynvml.NVMLError):
                    values[f"system/gpu{number}/{name}"] = read(handle)
    return values


_READINGS: Mapping[str, Callable[[Any], float]] = {
    "util_percent": lambda handle: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
    "memory_mb": lambda handle: round(pynvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6, 1),
    "temperature_c": lambda handle: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
    "power_w": lambda handle: round(pynvml.nvmlDeviceGetPowerUsage(handle) / 1000, 1),
}


def _handles() -> list[Any]:
    return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
