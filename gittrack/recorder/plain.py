"""Parameters as JSON values: a configuration holds paths, functions, enumerations and arrays, and all must be readable.

No type is imported to be recognised: its marks are enough.
"""

from __future__ import annotations

import os
import sys

from .secret_names import REDACTED, clean_text, is_secret, is_secret_name, secret_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_DEPTH = 30  # nobody nests deeper, but objects that hold themselves do
_ITEMS = 10_000
_TEXT = 1_000_000
_known: list[str] = []  # secrets in the environment


def plain_params(values: Mapping[Any, Any]) -> dict[str, Any]:
    """`values` as JSON, secrets replaced. Never raises: what resists is replaced by its type."""
    _known[:] = secret_values(os.environ)  # each time: programs read `.env` files when they are up
    return _mapping(values, 0)


def plain(value: Any, depth: int = 0) -> Any:
    """One value as JSON."""
    try:
        return _plain(value, depth)
    except Exception:  # noqa: BLE001 - any user type may come here; a parameter must not end the training
        return f"<{type(value).__name__}>"


def _clean(text: str) -> str:
    text = text[:_TEXT]
    for secret in _known:
        text = text.replace(secret, REDACTED)
    return clean_text(text)


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _is_enum(value):
        return value.name
    if isinstance(value, str):
        return _clean(str.__str__(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes):
        return _clean(value.decode(errors="backslashreplace"))
    if depth > _DEPTH:
        return f"<{type(value).__name__}>"
    return _nested(value, depth + 1)


def _nested(value: Any, depth: int) -> Any:
    if isinstance(value, (list, tuple)):
        return [plain(item, depth) for item in value[:_ITEMS]]
    if isinstance(value, (set, frozenset)):
        return sorted([plain(item, depth) for item in value], key=str)
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return _qualified(value)
    fields = _fields(value)
    if fields is not None:
        return _mapping(fields, depth)
    if hasattr(value, "tolist") and hasattr(value, "shape"):  # numpy and tensors
        return plain(value.tolist(), depth) if _count(value) <= _ITEMS else _described(value)
    if hasattr(value, "__fspath__"):
        return plain(value.__fspath__(), depth)
    return _clean(str(value))


def _mapping(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key in [*values][:_ITEMS]:
        name = key if isinstance(key, str) else str(plain(key, depth))
        value = values[key]
        out[str.__str__(name)] = REDACTED if is_secret(name, value) else _within(name, value, depth)
    return out


def _within(name: str, value: Any, depth: int) -> Any:
    if is_secret_name(name) and isinstance(value, (list, tuple)):
        return [REDACTED if isinstance(item, (str, bytes)) else plain(item, depth) for item in value]
    return plain(value, depth)


def _fields(value: Any) -> Any:
    """What a mapping, dataclass, namespace or named bundle of settings holds, as a mapping; None for other values."""
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return value
    names = getattr(value, "__dataclass_fields__", None)
    if names is not None:
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    if type(value).__name__ in ("Namespace", "SimpleNamespace"):
        return vars(value)
    return None


def _is_enum(value: Any) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(value, enum.Enum)


def _qualified(value: Any) -> str:
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", repr(value))
    return name if module in (None, "builtins", "__main__") else f"{module}.{name}"


def _count(value: Any) -> int:
    count = 1
    for length in value.shape:
        count *= int(length)
    return count


def _described(value: Any) -> str:
    return f"<{type(value).__name__} of shape {tuple(value.shape)}>"
