"""Values as short text for people: five significant digits, one line, nothing that could drive a terminal.

Names, parameters and console lines come from other people's programs, so whatever is not printable is escaped before it
reaches a terminal. Files for machines (JSON, CSV) take the values whole instead.
"""

import codecs
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MISSING = "-"
# What JSON leaves as it is and a terminal may obey: delete, the second set of control characters, marks that turn the
# direction of writing, ends of lines and paragraphs
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_STYLE = re.compile("(\x1b\\[[0-9;:]{0,64}m)")
_OPEN_STYLE = re.compile("(?:\x1b(?:\\[[0-9;:]{0,64})?|\r)\\Z")
_PLAIN_STYLES = ("\x1b[0m", "\x1b[m")
_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def cell(value: Any) -> str:
    """Any value of a record in a table's cell."""
    kind = type(value)
    if kind is str:
        return value if value.isprintable() and value else line(value)
    if kind is float:
        return number(value)
    if value is None:
        return MISSING
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value) if abs(value) < 10**15 else f"{value:.5g}" if abs(value) < 10**300 else "huge"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{cell(key)}: {cell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value)) if value else MISSING
    return line(repr(value))


def number(value: float) -> str:
    """A float to five significant digits; whole parts are never cut."""
    if value == 0 or 1e5 > value >= 1e-4:
        return f"{value:.5g}"
    if math.isfinite(value) and 1e5 <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.5g}"


def count(number: int, what: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def size(count: Any) -> str:
    """Bytes in one unit: `512 B`, `1.5 MB`."""
    if not isinstance(count, (int, float)):
        return MISSING
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def setting(value: Any) -> str:
    """A parameter: like `cell`, but a float that is short as it was written stays so, 0.300001 apart from 0.3."""
    if type(value) is float and len(repr(value)) <= 10:
        return repr(value)
    return cell(value)


def signed(value: float) -> str:
    """A difference, with its sign: `+0.25`, `-3`, `±0`."""
    if type(value) is int:
        return f"{value:+}" if value else "±0"
    return "±0" if value == 0 else ("+" if value > 0 else "") + number(value)


def line(text: str) -> str:
    """`text` on one line: control characters and other unprintable ones escaped, empty text as `""`."""
    if not text:
        return '""'
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def lines(text: str) -> str:
    """`text` with its line ends and tabs, and everything else that is not printable escaped."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in text)


def json_text(text: str) -> str:
    """The same JSON, without characters that could drive a terminal: it may be printed to one."""
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(char: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or ascii(char)[1:-1]


def harmless(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What a program printed, as UTF-8 text of which a terminal obeys nothing but colours and styles: all else that it
    might obey is escaped, and a style that is left on is taken back."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest, style = "", ""
    for data in pieces:
        text = rest + decoder.decode(data)
        cut = _OPEN_STYLE.search(text)  # it may end within a sequence, or between the two halves of a line end
        rest, text = (text[cut.start() :], text[: cut.start()]) if cut else ("", text)
        style = ([style, *_STYLE.findall(text)])[-1]
        yield _tamed(text)
    yield _tamed(rest + decoder.decode(b"", final=True)) + (b"" if style in ("", *_PLAIN_STYLES) else b"\x1b[0m")


def _tamed(text: str) -> bytes:
    parts = _STYLE.split(text.replace("\r\n", "\n"))
    return "".join(part if at % 2 else _OBEYED.sub(_escaped, part) for at, part in enumerate(parts)).encode()


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
