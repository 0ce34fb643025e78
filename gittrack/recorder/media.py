"""Images, tables and histograms as files, without the libraries that they come from: none of them is imported here.

An array is told by its marks (`shape`, `dtype`); what a library that is loaded can do itself is left to it.
"""

from __future__ import annotations

import sys
from math import isfinite
from zlib import compress, crc32

from .complain import WrongUse
from .encode import encode
from .series import plain_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_IMAGE = "log_image takes a path, a PIL image, or an array: H×W, H×W×3 or 4, tensors C×H×W, of uint8 or 0…1, not "
_TABLE = "log_table takes a DataFrame, a list of dicts, or a dict of lists of one length, not "
_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's color types by channels
_LEVEL = 3  # level 6 takes four times as long for a tenth


def png(image: Any) -> tuple[bytes, str | None]:
    """The PNG file of an array or tensor, and what was wrong with its values. Raises WrongUse."""
    pixels, height, width, channels, trouble = _pixels(image)
    line = width * channels
    raw = b"".join([b"\0" + pixels[at : at + line] for at in range(0, len(pixels), line)])
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, _COLORS[channels], 0, 0, 0))
    parts = ((b"IHDR", head), (b"IDAT", compress(raw, _LEVEL)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join([_part(kind, data) for kind, data in parts]), trouble


def csv(table: Any) -> str:
    """A list of dicts, or a dict of columns, as CSV with a head line. Raises WrongUse."""
    names, rows = _columns(table) if hasattr(table, "keys") else _records(table)
    return "".join([",".join(map(_cell, row)) + "\n" for row in (names, *rows)])


def histogram(values: Any, bins: Any = 64) -> str:
    """JSON of the edges of bins and the counts between them; what is not finite is only counted. Raises WrongUse."""
    numpy: Any = sys.modules.get("numpy")
    array: Any = None if numpy is None else _floats(values, numpy)
    if array is not None:
        total, finite = len(array), array[numpy.isfinite(array)]
        edges = _edges(bins, *((float(finite.min()), float(finite.max())) if len(finite) else ()))
        counts = numpy.histogram(finite, edges)[0].tolist()
    else:
        numbers = [*_numbers(values)]
        total, finite = len(numbers), [number for number in numbers if isfinite(number)]
        edges = _edges(bins, *((float(min(finite)), float(max(finite))) if finite else ()))
        counts = _counts(finite, edges)
    found: dict[str, Any] = {"bins": edges, "counts": counts}
    if len(finite) < total:
        found["not_finite"] = total - len(finite)
    return encode(found) + "\n"


def _part(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + crc32(kind + data).to_bytes(4, "big")


def _pixels(image: Any) -> tuple[bytes, int, int, int, str | None]:
    """Bytes row by row, height, width, channels."""
    array = _array(image)
    shape = tuple(getattr(array, "shape", ()))
    height, width, channels = (*shape, 1) if len(shape) == 2 else shape if len(shape) == 3 else (0, 0, 0)
    if channels not in _COLORS or not height or not width:
        raise WrongUse(f"{_IMAGE}{_described(image)}")
    kind = str(array.dtype)
    trouble = None
    if "bool" in kind:
        array = array * 255
    elif "float" in kind:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            trouble = f"log_image: values of floats are 0…1, these are {low:.4g}…{high:.4g}: the others were cut"
        array = _nan_to_zero(array).clip(0, 1) * 255 + 0.5
    elif "int" not in kind or int(array.min()) < 0 or int(array.max()) > 255:
        raise WrongUse(f"log_image takes whole numbers of 0…255, not {_described(image)}")
    return array.astype("uint8").tobytes(), int(height), int(width), int(channels), trouble


def _array(image: Any) -> Any:
    """A numpy array; rows of a tensor are its second dimension. Where there is an array, there is numpy."""
    numpy = sys.modules.get("numpy")
    if hasattr(image, "permute") and hasattr(image, "detach"):
        tensor = image.detach().cpu()
        tensor = tensor.permute(1, 2, 0) if tensor.dim() == 3 else tensor
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if numpy is not None and (hasattr(image, "__array__") or isinstance(image, (list, tuple))):
        return numpy.asarray(image)
    return image


def _nan_to_zero(array: Any) -> Any:
    return sys.modules["numpy"].nan_to_num(array, nan=0.0)


def _columns(table: Any) -> tuple[list[Any], Iterable[Sequence[Any]]]:
    names = [*table.keys()]
    columns = [_listed(table[name], table) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise WrongUse(f"{_TABLE}columns of {', '.join(str(len(column)) for column in columns)} values")
    return names, zip(*columns)


def _records(table: Any) -> tuple[list[Any], Iterable[Sequence[Any]]]:
    rows = _listed(table, table)
    if not all(hasattr(row, "keys") and hasattr(row, "get") for row in rows):
        raise WrongUse(f"{_TABLE}{_described(table)}")
    names = [*dict.fromkeys(name for row in rows for name in row)]
    return names, [[row.get(name) for name in names] for row in rows]


def _listed(values: Any, table: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise WrongUse(f"{_TABLE}{_described(table)}")
    return [*values]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    text = str(value)
    if text.isalnum():
        return text
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


def _floats(values: Any, numpy: Any) -> Any:
    """A flat array of what is an array already; None of all else."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    if not hasattr(values, "__array__"):
        return None
    array = numpy.asarray(values).ravel()
    if array.dtype.kind not in "fiub":
        raise WrongUse(f"log_histogram takes numbers, not {_described(values)}")
    return array.astype("float64")


def _numbers(values: Any) -> Iterable[float]:
    """Any array, tensor or nest of sequences, flat."""
    if hasattr(values, "detach"):
        values = values.detach().flatten().tolist()
    if hasattr(values, "ravel") and hasattr(values, "tolist"):
        values = values.ravel().tolist()
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise WrongUse(f"log_histogram takes numbers, not {_described(values)}")
    for value in values:
        if hasattr(value, "__iter__") or getattr(value, "shape", None):
            yield from _numbers(value)
        elif type(value) is float or type(value) is int:
            yield value
        else:
            yield _number(value)


def _number(value: Any) -> float:
    try:
        found = plain_number(value)
    except Exception as error:  # any type may come here and fail in its own way
        raise WrongUse(f"log_histogram takes numbers, not {_described(value)}") from error
    return found if isinstance(found, (int, float)) else float(value)


def _edges(bins: Any, low: float = 0.0, high: float = 1.0) -> list[float]:
    if hasattr(bins, "__iter__"):
        edges = [float(edge) for edge in bins]
        if len(edges) < 2 or any(not low < high for low, high in zip(edges, edges[1:])):
            raise WrongUse("log_histogram: edges of bins ascend")
        return edges
    if not isinstance(bins, int) or bins < 1:
        raise WrongUse(f"log_histogram: bins is a number or a list of edges, not {bins!r:.80}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [float(low + (high - low) * n / bins) for n in range(bins)] + [float(high)]


def _counts(numbers: list[float], edges: list[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for number in numbers:
        if edges[0] <= number <= edges[-1]:
            counts[min(_place(edges, number), len(counts) - 1)] += 1
    return counts


def _place(edges: list[float], number: float) -> int:
    """The last edge that is not above `number`."""
    low, high = 0, len(edges)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if edges[middle] <= number else (low, middle)
    return low


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return f"{kind} of shape {tuple(shape)} and {getattr(value, 'dtype', 'no dtype')}" if shape else kind
