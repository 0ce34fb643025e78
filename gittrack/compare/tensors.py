"""Tensors in the files that frameworks write, read piece by piece: where each one lies, and its numbers when asked for.

A checkpoint may be larger than memory, and it may come from somebody else: so nothing is loaded whole, and nothing in
a file is ever executed. The bytes of a tensor lie in one stretch of the file, in safetensors and in torch's zip alike;
numpy reads them, so that neither torch nor safetensors need be installed.
"""

import math
import operator
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gittrack.errors import Unsupported

Array = Any  # of numpy, which is not typed here

MOST_REPEATED = 1000  # an expanded tensor has more elements than bytes; a hostile one has 2**60
PIECE = 2**18  # elements that are in memory at a time: as float64 2 MB, which a cache holds

# What each type is in a file; of those without a type in numpy, the integers that hold its bits
STORED = {
    "float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "u2", "float8_e4m3fn": "u1", "float8_e5m2": "u1",
    "int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1", "uint64": "u8", "uint32": "u4", "uint16": "u2",
    "uint8": "u1", "bool": "u1", "complex128": "c16", "complex64": "c8",
    "qint8": "i1", "quint8": "u1", "qint32": "i4",
}  # fmt: skip
UNCOUNTED = ("qint8", "quint8", "qint32")  # their numbers mean nothing without scale and zero point
COMPLEX = ("complex128", "complex64")


class Tensor(NamedTuple):
    """One tensor of a file. `start` is the place of its first element, `strides` are in elements."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    little: bool = True  # least significant byte first

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def stored(self) -> Any:
        return np.dtype(STORED[self.dtype]).newbyteorder("<" if self.little else ">")

    @property
    def order(self) -> tuple[int, ...] | None:
        """The dimensions as they lie in the file, the slowest first; None where there are gaps or overlaps."""
        dims = [dim for dim, size in enumerate(self.shape) if size > 1]
        dims.sort(key=lambda dim: -self.strides[dim])
        expected = 1
        for dim in reversed(dims):
            if self.strides[dim] != expected:
                return None
            expected *= self.shape[dim]
        return tuple(dims)

    @property
    def span(self) -> int:
        """Elements from the first to behind the last, gaps included."""
        return (
            0
            if self.elements == 0
            else 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        )


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor that lies in the file row by row."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * max(size, 1))
    return tuple(reversed(strides[: len(shape)]))


def sizes(value: Any) -> tuple[int, ...]:
    """A shape, or strides, as a file says them. Raises ValueError, TypeError."""
    found = tuple(operator.index(size) for size in value)
    if any(size < 0 for size in found) or len(found) > 64:
        raise ValueError(f"{found} is no shape")
    return found


def pieces(file: BinaryIO, tensor: Tensor, in_order: bool = True) -> Iterator[Array]:
    """The stored elements, PIECE at a time: as they lie in the file, or else (`in_order` False) row by row."""
    if in_order:
        for at in range(0, tensor.elements, PIECE):
            yield _stretch(file, tensor, at, min(PIECE, tensor.elements - at))
        return
    if tensor.elements > MOST_REPEATED * max(tensor.span, 2**16):
        raise Unsupported(f"tensor {tensor.name!r} repeats few values {tensor.elements} times", "save it contiguous")
    item = tensor.stored.itemsize
    whole = _stretch(file, tensor, 0, tensor.span)
    laid = np.lib.stride_tricks.as_strided(whole, tensor.shape, [stride * item for stride in tensor.strides])
    for at in range(0, tensor.elements, PIECE):
        yield laid.flat[at : at + PIECE]


def _stretch(file: BinaryIO, tensor: Tensor, at: int, count: int) -> Array:
    stored = tensor.stored
    file.seek(tensor.start + at * stored.itemsize)
    wanted = count * stored.itemsize
    data = file.read(wanted)
    while 0 < len(data) < wanted and (more := file.read(wanted - len(data))):
        data += more
    if len(data) != wanted:
        raise Unsupported(f"the file ends within tensor {tensor.name!r}", "it was not saved whole")
    found = np.frombuffer(data, stored)
    return found if stored.isnative else found.astype(stored.newbyteorder("="))


def numbers(stored: Array, dtype: str) -> Array:
    """Stored elements as float64; of complex ones real and imaginary parts in turn."""
    if dtype == "bfloat16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype.startswith("float8"):
        return _FLOAT8[dtype][stored]
    if dtype in COMPLEX:
        return stored.astype(np.complex128).view(np.float64)
    return stored.astype(np.float64)


def _float8(exponent: int, mantissa: int, infinite: bool) -> Array:
    """The value of each of the 256 bit patterns. `infinite`: the highest exponent means inf and nan, as in IEEE 754."""
    bias, top = 2 ** (exponent - 1) - 1, 2**exponent - 1
    values = []
    for bits in range(128):
        power, fraction = bits >> mantissa, bits & (2**mantissa - 1)
        if power == top and (infinite or fraction == 2**mantissa - 1):
            values.append(math.inf if infinite and not fraction else math.nan)
        elif power == 0:
            values.append(fraction * 2.0 ** (1 - bias - mantissa))
        else:
            values.append((2**mantissa + fraction) * 2.0 ** (power - bias - mantissa))
    return np.array([*values, *(-value for value in values)])


_FLOAT8 = {"float8_e4m3fn": _float8(4, 3, False), "float8_e5m2": _float8(5, 2, True)}
