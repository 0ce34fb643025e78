"""The machine that a run is executed on, as far as the standard library can tell: what system.json says."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gittrack.lazy import lazy

# Variables that change what a training computes, or say where it ran. Never the whole environment: it holds secrets.
VARIABLES = (
    "CONDA_DEFAULT_ENV", "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "JAX_ENABLE_X64", "JAX_PLATFORMS", "LOCAL_RANK", "MASTER_PORT", "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "PYTORCH_CUDA_ALLOC_CONF",
    "RANK", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURM_NODELIST", "TF_DETERMINISTIC_OPS", "TOKENIZERS_PARALLELISM",
    "TORCH_DETERMINISTIC", "VIRTUAL_ENV", "WORLD_SIZE", "XLA_FLAGS",
)  # fmt: skip


def variables(environ: Mapping[str, str], more: Sequence[str] = ()) -> dict[str, str]:
    """Those of the known variables, and of `more`, that are set."""
    return {name: environ[name] for name in sorted({*VARIABLES, *more}) if name in environ}


def system(variables: Mapping[str, str], gpus: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Machine, operating system, CPU, memory, GPUs, and the variables."""
    uname = os.uname()
    return {
        "architecture": uname.machine,
        "container": _container(),
        "cpu": {"available": _available(), "count": os.cpu_count(), "model": _cpu_model()},
        "gpus": list(gpus),
        "memory": _memory(),
        "os": {"name": uname.sysname, "release": uname.release, "text": _distribution()},
        "variables": dict(variables),
    }


def has_nvidia() -> bool:
    """Whether an NVIDIA driver is loaded: loading its library where there is none costs more than it says."""
    return os.path.exists("/dev/nvidiactl") or os.path.exists("/proc/driver/nvidia/version")


def _available() -> int | None:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def _cpu_model() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith(("model name", "Model", "cpu model")):
            return line.partition(":")[2].strip()
    return lazy("platform").processor() if sys.platform == "darwin" else ""


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _distribution() -> str:
    if sys.platform == "darwin":
        return "macOS " + str(lazy("platform").mac_ver()[0])
    for line in _lines("/etc/os-release"):
        if line.startswith("PRETTY_NAME="):
            return line[12:].strip().strip('"')
    return ""


def _container() -> str | None:
    if os.path.exists("/run/.containerenv"):
        return "podman"
    if os.path.exists("/.dockerenv"):
        return "docker"
    return "kubernetes" if os.path.exists("/var/run/secrets/kubernetes.io") else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readlines()
    except OSError:
        return []
