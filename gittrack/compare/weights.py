"""What training has changed in the weights: two checkpoints compared tensor by tensor. `git track diff --weights`.

One pair of tensors is read at a time, and of each a small piece, so that two files of any size are compared in the same
memory. Sums are in float64.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gittrack.compare import card, safetensors_file, torch_file
from gittrack.compare.tensors import COMPLEX, UNCOUNTED, Tensor, numbers, pieces
from gittrack.compare.text import MISSING, cell, number
from gittrack.errors import Unsupported

_OPTIMIZER = re.compile(
    r"(?:^|[._])optim(?:izer)?s?(?:_states?|_state_dict)?(?:[._]|$)|(?:^|\.)opt\.|(?:^|\.)(?:exp_avg|momentum_buffer)"
)


class Change(NamedTuple):
    """One tensor that is not the same in both. None: it is not there, or cannot be said."""

    name: str
    before: Tensor | None
    after: Tensor | None
    norm: float | None = None  # of the difference
    relative: float | None = None  # norm of the difference / norm before; inf where it was all zeros
    cosine: float | None = None  # of the angle between both, as vectors

    @property
    def what(self) -> str:
        """added, removed, or changed."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"


class Weights(NamedTuple):
    """The changes, the greatest relative one first; then what was added and removed."""

    changes: list[Change]
    unchanged: int
    before: int  # tensors
    after: int
    norm: float  # of all differences together, where shapes are equal


def tensors(file: BinaryIO, name: str) -> dict[str, Tensor]:
    """Every tensor of a torch or safetensors file, by name. Raises Unsupported for any other, and for broken ones."""
    file.seek(0)
    head = file.read(64)
    if head.startswith(torch_file.LEGACY):
        raise Unsupported(
            f"{name} has the form that torch had before version 1.6",
            "load it and save it again with torch.save: its successor can be read without executing it",
        )
    if head.startswith(torch_file.MAGIC):
        return _named(torch_file.tensors(file, name))
    if safetensors_file.looks_like(head):
        return _named(safetensors_file.tensors(file, name))
    raise Unsupported(
        f"{name} is neither a torch nor a safetensors file", "weights of other formats cannot be compared"
    )


def _named(found: Iterable[Tensor]) -> dict[str, Tensor]:
    """By name. Where dotted keys collide (`{"a": {"b": …}, "a.b": …}`) the later ones get a number."""
    named: dict[str, Tensor] = {}
    for one in found:
        name, count = one.name, 1
        while name in named:
            count += 1
            name = f"{one.name} ({count})"
        named[name] = one
    return named


def between(first: BinaryIO, second: BinaryIO, first_name: str, second_name: str, in_order: bool = False) -> Weights:
    """Compare the tensors of two open files. `in_order`: changes come as in the first file. Raises Unsupported."""
    before, after = tensors(first, first_name), tensors(second, second_name)
    changes, squares, unchanged = [], 0.0, 0
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            changes.append(Change(name, old, None))
            continue
        change = _change(first, second, name, old, new)
        if change is None:
            unchanged += 1
        else:
            changes.append(change)
            squares += change.norm**2 if change.norm is not None else 0.0
    changes += [Change(name, None, new) for name, new in after.items() if name not in before]
    if not in_order:
        changes.sort(key=_rank)
    return Weights(changes, unchanged, len(before), len(after), math.sqrt(squares))


def _rank(change: Change) -> tuple[bool, int, float, str]:
    """The model first, then the optimizer's state. In both the greatest first: not a number, another shape, then by
    relative change; what is not in both at the end."""
    of_optimizer = _OPTIMIZER.search(change.name) is not None
    if change.what != "changed":
        return of_optimizer, 2 if change.what == "added" else 3, 0.0, change.name
    if change.relative is None or change.relative != change.relative:
        return of_optimizer, 0, 0.0, change.name
    return of_optimizer, 1, -change.relative, change.name


def _change(first: BinaryIO, second: BinaryIO, name: str, old: Tensor, new: Tensor) -> Change | None:
    if old.shape != new.shape:
        return Change(name, old, new)
    in_order = old.order is not None and old.order == new.order
    pairs = zip(pieces(first, old, in_order), pieces(second, new, in_order), strict=True)
    counted = old.dtype not in UNCOUNTED and new.dtype not in UNCOUNTED
    if not counted or (old.dtype in COMPLEX) != (new.dtype in COMPLEX):
        same = old.dtype == new.dtype and all(one.tobytes() == other.tobytes() for one, other in pairs)
        return None if same else Change(name, old, new)
    same, sums = _sums(pairs, old, new)
    if same and old.dtype == new.dtype:
        return None
    return Change(name, old, new, *_measures(*sums))


def _sums(pairs: Iterator[tuple[Any, Any]], old: Tensor, new: Tensor) -> tuple[bool, list[float]]:
    """Whether all bits are equal, and the sums of (after - before)², before², after², before * after."""
    same, sums = True, np.zeros(4)
    with np.errstate(all="ignore"):
        for stored_before, stored_after in pairs:
            equal = stored_before.dtype == stored_after.dtype and stored_before.tobytes() == stored_after.tobytes()
            same = same and equal
            before = numbers(stored_before, old.dtype)
            after = before if equal else numbers(stored_after, new.dtype)
            square = before @ before
            if equal:
                sums += (0.0, square, square, square)
            else:
                delta = after - before
                sums += (delta @ delta, square, after @ after, before @ after)
    return same, [float(value) for value in sums]


def _measures(delta: float, before: float, after: float, product: float) -> tuple[float, float, float | None]:
    norm, length = math.sqrt(delta), math.sqrt(before)
    relative = norm / length if length else 0.0 if norm == 0 else math.inf if norm == norm else math.nan
    both = length * math.sqrt(after)
    return norm, relative, max(-1.0, min(1.0, product / both)) if both and both == both else None


_KEEP = (9, 2, 4, 3, 8, 6, 7)  # of the columns: names are never cut, since what tells them apart is anywhere in them


def part(found: Weights) -> list[card.Part]:
    """The page of `git track diff --weights`."""
    rows = [
        (cell(change.name), change.what, _shown(change, _shape), _shown(change, lambda one: one.dtype),
         _number(change.relative), _number(change.norm), _cosine(change.cosine))
        for change in found.changes
    ]  # fmt: skip
    titles = ("tensor", "", "shape", "type", "relative", "norm", "cosine")
    return [card.Part("", [("", summary(found))]), card.Part("", titles=titles, rows=rows, right=(4, 5, 6), keep=_KEEP)]


def summary(found: Weights) -> str:
    counts = {what: sum(change.what == what for change in found.changes) for what in ("changed", "added", "removed")}
    said = [f"{count} {what}" for what, count in counts.items() if count or what == "changed"]
    return f"{', '.join(said)}, {found.unchanged} the same; norm of all differences {number(found.norm)}"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"


def _shown(change: Change, text: Any) -> str:
    texts = list(dict.fromkeys(text(one) for one in (change.before, change.after) if one is not None))
    return " → ".join(texts)


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.5g}"


def _cosine(value: float | None) -> str:
    return MISSING if value is None else f"{value:.7f}"


def document(found: Weights) -> dict[str, Any]:
    """For --json."""
    return {
        "tensors": {
            change.name: {
                "what": change.what,
                "shape": _both(change, lambda one: list(one.shape)),
                "dtype": _both(change, lambda one: one.dtype),
                "norm": change.norm,
                "relative": change.relative,
                "cosine": change.cosine,
            }
            for change in found.changes
        },
        "unchanged": found.unchanged,
        "total": {"before": found.before, "after": found.after, "norm": found.norm},
    }


def _both(change: Change, value: Any) -> Mapping[str, Any]:
    return {
        "before": None if change.before is None else value(change.before),
        "after": None if change.after is None else value(change.after),
    }
