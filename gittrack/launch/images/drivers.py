"""Which CUDA a driver can run, as data, and what follows for images. Pure.

From CUDA 11 on one driver is enough for all of a major version; before, each minor version asked for its own. Newer
drivers run everything older. Sources, all of NVIDIA, for Linux on x86_64:

A: CUDA Compatibility, "Minor Version Compatibility", tables 1 and 2
   (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html): 580, 525 and 450 for 13.x, 12.x
   and 11.x, without what is behind the first point, and 10.x
B: CUDA Toolkit Release Notes, "CUDA Toolkit and Minimum Required Driver Version for CUDA Minor Version Compatibility"
   (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/), and those of 11 and 12 in its archive
C: the same, "CUDA Toolkit and Corresponding Driver Versions": what each release came with, and, up to 10.2, needed
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Version = tuple[int, ...]

MINIMUM_DRIVER: tuple[tuple[Version, Version], ...] = (
    ((13, 0), (580, 65, 6)),  # A; C: 13.0 GA
    ((12, 0), (525, 60, 13)),  # B
    ((11, 0), (450, 80, 2)),  # A, B; 11.0 itself: 450.36.06
    ((10, 2), (440, 33)),  # A, C
    ((10, 1), (418, 39)),  # A, C
    ((10, 0), (410, 48)),  # A, C
    ((9, 2), (396, 26)),  # C; its update 1: 396.37
    ((9, 1), (390, 46)),  # C; in older notes: 387.26
    ((9, 0), (384, 81)),  # C
    ((8, 0), (375, 26)),  # C: 8.0 GA2; 8.0 GA: 367.48
)
# Folders of TORCH_INDEX, newest first; a package index of its own for each CUDA.
TORCH_INDEXES: tuple[tuple[Version, str], ...] = (
    ((13, 0), "cu130"), ((12, 8), "cu128"), ((12, 6), "cu126"), ((12, 4), "cu124"), ((12, 1), "cu121"),
    ((11, 8), "cu118"),
)  # fmt: skip
TORCH_INDEX = "https://download.pytorch.org/whl/"
# Images with CUDA and cuDNN, one for each CUDA that is still of use (https://hub.docker.com/r/nvidia/cuda/tags).
CUDA_IMAGES: tuple[tuple[Version, str], ...] = (
    ((13, 0), "nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04"),
    ((12, 8), "nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04"),
    ((11, 8), "nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04"),
)
TORCH = frozenset(("torch", "torchvision", "torchaudio"))
# Packages that take CUDA from the system. Those of torch, and whoever requires nvidia-*, bring it along.
_OF_SYSTEM = re.compile(r"cupy-cuda(\d+)x|pycuda|paddlepaddle-gpu|onnxruntime-gpu|mxnet-cu\d+|jax-cuda(\d+)-local")
_BROUGHT = re.compile(r"nvidia-cuda-runtime(-cu\d+)?")


class Choice(NamedTuple):
    """What an image is made from because of a host's GPUs."""

    base: str = ""  # an image; empty: the plain one
    wheels: str = ""  # an index of torch wheels, besides the usual one
    why: str = ""
    warning: str = ""


def version(text: str) -> Version:
    """`535.104.05` as numbers."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:4])


def runs(driver: str, cuda: Version) -> bool:
    """Whether a driver can run programs made for that CUDA."""
    least = next((least for known, least in MINIMUM_DRIVER if cuda >= known), None)
    return least is None or version(driver) >= least


def needed(cuda: Version) -> str:
    """The oldest driver for a CUDA."""
    least = next((least for known, least in MINIMUM_DRIVER if cuda >= known), ())
    return ".".join(f"{part:02}" if place else str(part) for place, part in enumerate(least))


def choose(driver: str, packages: Mapping[str, str], locked: bool) -> Choice:
    """For a host with this driver (empty: no GPU), and packages with their versions where they are known.

    `locked`: each package comes from where a lock file says; nothing can be chosen for it, only warned of."""
    if not driver:
        if TORCH & set(packages) and not locked:
            return Choice(wheels=TORCH_INDEX + "cpu", why="torch without CUDA, since there is no GPU")
        return Choice()
    if cuda := _brought(packages):
        return Choice(why=f"CUDA {_dotted(cuda)} comes with the packages", warning=_too_old(driver, cuda))
    if (major := _of_system(packages)) is not None:
        return _with_cuda(driver, major)
    if TORCH & set(packages) and not locked:
        return _torch(driver)
    return Choice()


def _torch(driver: str) -> Choice:
    """Wheels of torch are made for several CUDAs; the usual index has those for a new one."""
    folder = next(((cuda, folder) for cuda, folder in TORCH_INDEXES if runs(driver, cuda)), None)
    if folder is None:
        return Choice(warning=f"driver {driver} is older than any torch of today can use ({needed((11, 8))})")
    if folder[1] == TORCH_INDEXES[0][1]:
        return Choice(why=f"driver {driver} runs every CUDA")
    return Choice(
        wheels=TORCH_INDEX + folder[1], why=f"torch for CUDA {_dotted(folder[0])}, as driver {driver} runs it"
    )


def _with_cuda(driver: str, major: int) -> Choice:
    fitting = [(cuda, image) for cuda, image in CUDA_IMAGES if runs(driver, cuda) and (not major or cuda[0] == major)]
    if not fitting:
        wanted = f"CUDA {major}" if major else "CUDA"
        return Choice(warning=f"driver {driver} runs no {wanted} for which an image is known; name one: base_image:")
    cuda, image = fitting[0]
    return Choice(base=image, why=f"packages need CUDA, and driver {driver} runs {_dotted(cuda)}")


def _of_system(packages: Iterable[str]) -> int | None:
    """The major version of CUDA that packages need of the system; 0 when any will do, None when none is needed."""
    found = [match for name in packages if (match := _OF_SYSTEM.fullmatch(name))]
    majors = [int(group) for match in found for group in match.groups() if group]
    return (majors[0] if majors else 0) if found else None


def _brought(packages: Mapping[str, str]) -> Version | None:
    for name, number in packages.items():
        if _BROUGHT.fullmatch(name) and version(number):
            return version(number)[:2]
    return None


def _too_old(driver: str, cuda: Version) -> str:
    if runs(driver, cuda):
        return ""
    return f"driver {driver} is too old for CUDA {_dotted(cuda)}, which the packages bring: it needs {needed(cuda)}"


def _dotted(cuda: Version) -> str:
    return ".".join(map(str, cuda))
