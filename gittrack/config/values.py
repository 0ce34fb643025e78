"""How settings are read: from what YAML makes of a file, or from the text of git config or an environment variable.

Each function takes either and gives the value, or raises ValueError with what it expected.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_TRUE, _FALSE = frozenset(("true", "yes", "on", "1")), frozenset(("false", "no", "off", "0", ""))
_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"
_GOALS = {"minimize": "minimize", "min": "minimize", "maximize": "maximize", "max": "maximize"}


class Redact(NamedTuple):
    patterns: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError("a text")


def texts(value: Any) -> tuple[str, ...]:
    """A list, or one text; in git config and variables separated by commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ValueError("a list of texts")


def metrics(value: Any) -> Any:
    """Files; or goals, as a mapping."""
    if isinstance(value, Mapping):
        return goals(value)
    try:
        return texts(value)
    except ValueError:
        raise ValueError("a list of files, or a mapping from metric to minimize or maximize") from None


def goals(value: Any) -> dict[str, str]:
    """`loss: minimize`; in text `loss=minimize, acc=maximize`."""
    expected = "a mapping from metric to minimize or maximize"
    if value is None:
        return {}
    if isinstance(value, str):
        value = {name: goal for name, _, goal in (part.partition("=") for part in texts(value))}
    if not isinstance(value, Mapping):
        raise ValueError(expected)
    found = {str(name).strip(): _GOALS.get(str(goal).strip().lower()) for name, goal in value.items()}
    if not all(found.values()):
        raise ValueError(expected)
    return {name: str(goal) for name, goal in found.items()}


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("true or false")


def size(value: Any) -> int:
    """Bytes: `10MB`, `1.5 GiB`, `500000`. MB is 1,000,000 bytes and MiB 1,048,576."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return int(value)
    match = re.fullmatch(_SIZE, value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError("a size such as 10MB")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * float((1024 if match[3] else 1000) ** power))


def redact(value: Any) -> Redact:
    """A list of patterns, or a mapping with `patterns` and `allow`. A text is one pattern: it may hold commas."""
    if value is None:
        return Redact()
    if isinstance(value, Mapping) and set(value) <= {"patterns", "allow"}:
        return Redact(_list(value.get("patterns")), _list(value.get("allow")))
    if isinstance(value, (str, list)):
        return Redact(_list(value))
    raise ValueError("a list of patterns, or a mapping with `patterns` and `allow`")


def _list(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else texts(value)
