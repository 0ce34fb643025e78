"""`--param lr=0.1`: what was typed, as the value it looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from gittrack import errors

_WORDS = {"true": True, "false": False, "null": None, "none": None, "nan": float("nan"), "inf": float("inf")}
_WORDS["-inf"] = -_WORDS["inf"]  # type: ignore[operator]
_INT = re.compile(r"[+-]?(0|[1-9]\d*)\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_LEADING_ZERO = re.compile(r"[+-]?0\d")


def parse(given: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` pairs. Raises UsageError for one without a key or an equals sign."""
    values: dict[str, Any] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise errors.UsageError(f"--param {pair!r} is not KEY=VALUE", "for example: -p lr=0.01")
        values[key.strip()] = value(text)
    return values


def value(text: str) -> Any:
    """Number, true/false, null or JSON list, mapping or quoted text where it is one; else the text itself."""
    word = text.strip()
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if _INT.match(word):
        return int(word) if len(word) <= 4000 else text  # Python refuses to read longer numbers
    if _FLOAT.match(word) and not _LEADING_ZERO.match(word):
        return float(word)
    if word[:1] in ("[", "{", '"'):
        try:
            return json.loads(word)
        except ValueError:
            return text
    return text
