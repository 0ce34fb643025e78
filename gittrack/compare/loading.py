"""The one door of torch and safetensors for reading: tensors out of files of which nothing is trusted.

A pickle can run any program. torch's `weights_only=True` builds tensors and plain containers and refuses the rest;
that switch is not for callers to turn, so a file that needs more is refused, with the call that would trust it.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from gittrack.compare.weight_names import SAFETENSORS
from gittrack.errors import GittrackError, Unsupported, UsageError
from gittrack.lazy import lazy

_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ZIP = b"PK\x03\x04"


def from_bytes(name: str, data: bytes, options: Mapping[str, Any]) -> Any:
    """The tensors in `data`, the content of a file called `name`."""
    if name.lower().endswith(SAFETENSORS):
        return _read(name, lambda: _module("safetensors.torch", name).load(data))
    return _torch(name, io.BytesIO(data), options)


def from_file(name: str, path: str, options: Mapping[str, Any]) -> Any:
    """The same of the file at `path`."""
    if name.lower().endswith(SAFETENSORS):
        return _read(name, lambda: _module("safetensors.torch", name).load_file(path))
    with open(path, "rb") as file:
        return _torch(name, file, options)


def _torch(name: str, file: BinaryIO, options: Mapping[str, Any]) -> Any:
    if not options.get("weights_only", True) or "pickle_module" in options:
        raise UsageError("load() never unpickles code", _own_way(name))
    torch = _module("torch", name)
    settings = {"map_location": "cpu", **options, "weights_only": True}

    def load() -> Any:
        _refuse_bomb(name, file)
        return torch.load(file, **settings)

    return _read(name, load)


def _refuse_bomb(name: str, file: BinaryIO) -> None:
    """torch.save compresses nothing, and no entry lies over another: a file of which that is not so takes more memory
    than it has bytes, a thousand times as much if somebody wants it to."""
    if file.read(len(_ZIP)) == _ZIP:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if not stored or sum(entry.file_size for entry in entries) > file.seek(0, os.SEEK_END):
            raise Unsupported(f"{name} would unpack to more than it is: torch.save writes no such file", _own_way(name))
    file.seek(0)


def _read(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (GittrackError, OSError, MemoryError):
        raise
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        of = f" (objects of {named[1]})" if named else ""
        what = f"{name} holds more than tensors and plain containers{of}, and to open it may run code"
        raise Unsupported(what, _own_way(name)) from error
    except Exception as error:  # bytes from anybody: readers stumble over them in any way
        if "TorchScript" in str(error):
            raise Unsupported(f"{name} is a TorchScript program: to open it is to trust it", _own_way(name)) from error
        hint = "checkpoint.open() gives its bytes, checkpoint.checkout() writes it into a folder"
        raise Unsupported(f"{name} is no file that can be loaded: {_first(error)}", hint) from error


def _first(error: Exception) -> str:
    return _COLOUR.sub("", str(error)).strip().partition("\n")[0] or type(error).__name__


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
