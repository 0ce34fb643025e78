"""The one door of torch and safetensors for reading: tensors out of files of which nothing is trusted.

A pickle can run any program. torch's `weights_only=True` builds tensors and plain containers and refuses the rest;
that switch is not for callers to turn, so a file that needs more is refused, with the call that would trust it.
"""

import io
import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

from gittrack.errors import CorruptContent, Unsupported, UsageError
from gittrack.lazy import lazy

SAFETENSORS = ".safetensors"


def from_bytes(name: str, data: bytes, options: Mapping[str, Any]) -> Any:
    """The tensors in `data`, the content of a file called `name`."""
    if name.lower().endswith(SAFETENSORS):
        return _module("safetensors.torch", name).load(data)
    return _torch(name, io.BytesIO(data), options)


def from_file(name: str, path: str, options: Mapping[str, Any]) -> Any:
    """The same of the file at `path`."""
    if name.lower().endswith(SAFETENSORS):
        return _module("safetensors.torch", name).load_file(path)
    with open(path, "rb") as file:
        return _torch(name, file, options)


def _torch(name: str, file: BinaryIO, options: Mapping[str, Any]) -> Any:
    if not options.get("weights_only", True) or "pickle_module" in options:
        raise UsageError("load() never unpickles code", _own_way(name))
    torch = _module("torch", name)
    try:
        return torch.load(file, **{"map_location": "cpu", **options, "weights_only": True})
    except pickle.UnpicklingError as error:
        first = str(error).strip().partition("\n")[0]
        raise Unsupported(
            f"{name} holds more than tensors, and to open it may run its code: {first}", _own_way(name)
        ) from error
    except (RuntimeError, EOFError) as error:
        if "TorchScript" in str(error):
            raise Unsupported(
                f"{name} is a TorchScript program, and to open it is to trust it", _own_way(name)
            ) from error
        raise CorruptContent(
            f"{name} is no file that torch.load reads: {error}", "checkpoint.open() gives its bytes"
        ) from error


def _own_way(name: str) -> str:
    return (
        f"if you trust whoever made it: torch.load(checkpoint.open({name!r}), weights_only=False); "
        "torch.serialization.add_safe_globals allows single classes"
    )


def _module(name: str, file: str) -> Any:
    try:
        return lazy(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise UsageError(f"{file} needs {error.name}, which is not installed here", f"pip install {package}") from error
