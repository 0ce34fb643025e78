"""Journal text without the json module, whose import alone costs a third of what `import gittrack` may cost.

The C escaper that json itself uses is a builtin; what remains is a page. Forms as in docs/format.md §6.
"""

from __future__ import annotations

from binascii import b2a_base64
from math import isfinite

try:
    from _json import encode_basestring as _quote
except ImportError:  # an interpreter without the accelerator
    from json.encoder import encode_basestring as _quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPELLED = {"nan": '{"$":"nan"}', "inf": '{"$":"inf"}', "-inf": '{"$":"-inf"}'}  # by their repr
_CONSTANTS = {True: "true", False: "false", None: "null"}
_DEPTH = 100


def quote(text: str) -> str:
    """`text` as a JSON string. Lone surrogates, which UTF-8 cannot carry, are escaped."""
    quoted = _quote(text)
    if not quoted.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in quoted):
        return "".join(f"\\u{ord(char):04x}" if 0xD800 <= ord(char) <= 0xDFFF else char for char in quoted)
    return quoted


def number(value: float) -> str:
    """A plain int or float; what JSON cannot say becomes `{"$":"nan"}` and the like."""
    if isinstance(value, int) or isfinite(value):
        return repr(value)
    return SPELLED[repr(value)]


def encode(value: Any, depth: int = 0) -> str:
    """JSON of dict, list, tuple, str, bytes, int, float, bool and None, nested; of anything else its `str`. Never
    raises for what `plain.plain` returns."""
    if isinstance(value, str):
        return quote(str.__str__(value))  # of an enumeration that is also text, the text
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, bytes):
        return '{"$":"bytes","b64":"' + b2a_base64(value, newline=False).decode() + '"}'
    if depth < _DEPTH:
        if isinstance(value, dict):
            return _object(value, depth + 1)
        if isinstance(value, (list, tuple)):
            return "[" + ",".join([encode(item, depth + 1) for item in value]) + "]"
    return quote(str(value))


def _object(value: dict[Any, Any], depth: int) -> str:
    pairs = [(quote(str(key)), encode(item, depth)) for key, item in value.items()]
    if "$" in value:
        return '{"$":"object","items":[' + ",".join([f"[{key},{item}]" for key, item in pairs]) + "]}"
    return "{" + ",".join([f"{key}:{item}" for key, item in pairs]) + "}"
