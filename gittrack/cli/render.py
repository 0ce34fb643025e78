"""Plain tables on a terminal or in a pipe, in the time that `ls` has.

Laid out here rather than by rich: a rich table of 1,000 rows costs 500 ms, this one 2. A table is a list of columns,
each a list of texts, because widths and padding are then one pass per column.
"""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gittrack.compare.text import lines
from gittrack.lazy import lazy

GAP = "  "
NARROWEST = 8
STYLES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
}  # fmt: skip


class Column(NamedTuple):
    """One column: its title and, top to bottom, its texts (one line each, printable).

    `style` gives the style of a text, or "". `keep` says how willingly it goes when a terminal is too narrow: columns
    with the lowest go first, the rightmost of them before the others.
    """

    title: str
    texts: Sequence[str]
    right: bool = False
    style: Callable[[str], str] | None = None
    keep: int = 9


def width(text: str) -> int:
    """How many places `text` takes in a terminal: two for East Asian wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    data = lazy("unicodedata")
    return sum(
        0
        if data.combining(char) or data.category(char) in ("Cf", "Me")
        else 2
        if data.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def clip(text: str, places: int) -> str:
    """`text` in at most `places`, an ellipsis in place of what is cut."""
    if width(text) <= places:
        return text
    kept, used = [], 1
    for char in text:
        used += width(char)
        if used > places:
            break
        kept.append(char)
    return "".join(kept) + "…"


def paint(text: str, style: str, colour: bool) -> str:
    """`text` in a style of STYLES (or several, separated by blanks)."""
    if not colour or not style:
        return text
    return f"\033[{';'.join(STYLES[part] for part in style.split())}m{text}\033[0m"


def table(columns: Sequence[Column], room: int | None = None, colour: bool = False) -> tuple[str, list[str]]:
    """The table as text, and the titles of columns that did not fit.

    `room` is the width of the terminal; None lays everything out in full, for a pipe.
    """
    widths = [max([width(column.title), *_widths(column.texts)]) for column in columns]
    left_out: list[str] = []
    if room is not None:
        widths, left_out = _fit(columns, widths, room)
        columns = [column for column in columns if column.title not in left_out]
        widths = [size for size in widths if size]
    padded = [
        _padded(column, size, colour, last=number == len(columns) - 1)
        for number, (column, size) in enumerate(zip(columns, widths, strict=True))
    ]
    if not padded:
        return "", left_out
    return "\n".join(map(GAP.join, zip(*padded, strict=True))) + "\n", left_out


def _widths(texts: Sequence[str]) -> Sequence[int]:
    if "".join(texts).isascii():
        return [len(max(texts, key=len, default=""))]
    return list(map(width, texts))


def _fit(columns: Sequence[Column], widths: list[int], room: int) -> tuple[list[int], list[str]]:
    """Shrink the widest texts, then leave columns out (width 0), until the table is at most `room` wide."""
    widths, left_out = list(widths), []

    def excess() -> int:
        used = [size for size in widths if size]
        return sum(used) + len(GAP) * (len(used) - 1) - room

    while excess() > 0:
        soft = [n for n, column in enumerate(columns) if not column.right and widths[n] > NARROWEST and column.keep < 9]
        if soft:
            widest = max(soft, key=lambda n: widths[n])
            others = [widths[n] for n in soft if widths[n] < widths[widest]]
            widths[widest] -= min(excess(), max(1, widths[widest] - max([NARROWEST, *others])))
            continue
        there = [n for n, size in enumerate(widths) if size]
        gone = min(there, key=lambda n: (columns[n].keep, -n))
        if len(there) == 1 or columns[gone].keep >= 9:
            break
        widths[gone] = 0
        left_out.append(columns[gone].title)
    return widths, left_out[::-1]


def _padded(column: Column, size: int, colour: bool, last: bool) -> list[str]:
    texts = [column.title, *column.texts]
    if "".join(texts).isascii():
        if max(map(len, texts)) > size:
            texts = [clip(text, size) for text in texts]
        padded = [text.rjust(size) for text in texts] if column.right else [text.ljust(size) for text in texts]
    else:
        texts = [clip(text, size) for text in texts]
        blanks = [" " * (size - width(text)) for text in texts]
        pairs = zip(texts, blanks, strict=True)
        padded = [blank + text if column.right else text + blank for text, blank in pairs]
    if last and not column.right:
        padded = texts  # no blanks at line ends
    if colour:
        style = column.style or (lambda _: "")
        styles = ["bold", *map(style, column.texts)]
        padded = [paint(text, name, True) for text, name in zip(padded, styles, strict=True)]
    return padded


def terminal_width() -> int | None:
    """The width of the terminal behind standard output, or None when there is none."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else None


def state_style(state: str) -> str:
    """The style of a run's state."""
    styles = {"completed": "green", "failed": "red", "crashed": "red", "killed": "yellow", "running": "cyan"}
    return styles.get(state.rstrip("?"), "yellow" if state.startswith("lost") else "cyan" if state == "queued" else "")


def write(text: str) -> None:
    """Send `text` to standard output; what its encoding lacks is escaped rather than an error."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def put(data: bytes) -> None:
    """All of `data` as it is. Under PYTHONUNBUFFERED a write takes less than it is given when the disk is full, the
    reader has left, or a signal comes, and says so by a number alone."""
    view = memoryview(data)
    while view:
        view = view[sys.stdout.buffer.write(view) or 0 :]


def data(text: str) -> None:
    """CSV and the like: as it is for a program and a file, escaped for the eyes of somebody at a terminal."""
    write(lines(text) if sys.stdout.isatty() else text)


def say(text: str) -> None:
    """A remark for the person, apart from the output."""
    sys.stderr.write(lines(text) + os.linesep)
