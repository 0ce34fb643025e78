"""safetensors files: a JSON header that says where each tensor lies, then the bytes."""

import json
from typing import Any, BinaryIO

from gittrack.compare.tensors import STORED, Tensor, contiguous, sizes
from gittrack.errors import Unsupported

LONGEST_HEADER = 100_000_000  # the format's own limit

_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64",
    "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "C64": "complex64",
}  # fmt: skip


def looks_like(head: bytes) -> bool:
    """`head`: the first bytes of a file."""
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= LONGEST_HEADER


def tensors(file: BinaryIO, name: str) -> list[Tensor]:
    """Every tensor of the file. Raises Unsupported; `name` is for its message."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(length))
        found = {one: entry for one, entry in header.items() if one != "__metadata__"}
        _refuse_gaps([sizes(entry["data_offsets"]) for entry in found.values()], size - 8 - length)
        return [_tensor(one, entry, 8 + length, size) for one, entry in found.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unsupported(f"{name} is no safetensors file that can be read: {error}", "save it again") from error


def _refuse_gaps(spans: list[tuple[int, ...]], size: int) -> None:
    """By the format each byte belongs to one tensor: a file of which that is not so would be read many times over."""
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise ValueError("its tensors overlap, or there is something between them")
        end = last
    if end != size:
        raise ValueError(f"its tensors take {end} bytes, and there are {size}")


def _tensor(name: str, entry: Any, start: int, size: int) -> Tensor:
    dtype, shape, (first, last) = _TYPES.get(entry["dtype"]), sizes(entry["shape"]), sizes(entry["data_offsets"])
    if dtype is None:
        raise ValueError(f"tensor {name!r} has the type {str(entry['dtype'])[:40]!r}")
    found = Tensor(name, dtype, shape, contiguous(shape), start + first)
    if last - first != found.elements * int(STORED[dtype][1:]) or start + last > size:
        raise ValueError(f"tensor {name!r} does not lie where the header says")
    return found
