"""What a `--where` expression means: its tree as values, and whether a run answers to it.

The grammar is in `query`. The rules of comparing are here, in one place, because tables, the Python interface and the
web page must all give the same answer.

Values come from a `lookup(name)`; None (missing) makes every comparison false, `!=` included, so only `is null` and
`not` see runs that lack a value. A list (tags) answers when one of its items does, and to a negated test when none
does.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Any, NamedTuple, TypeAlias

from gittrack.core import moments

Lookup: TypeAlias = Callable[[str], Any]

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "like", "true", "false"})
NEGATED = {"!=": "=", "!~": "~", "not like": "like"}
SWAPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_PLAIN = re.compile(r"[^\W\d][\w./:@%+-]*\Z")


class Name(NamedTuple):
    """Something to look up: `status`, `params.lr`, `loss`."""

    text: str

    def __str__(self) -> str:
        plain = _PLAIN.match(self.text) and self.text.lower() not in KEYWORDS and number(self.text) is None
        return self.text if plain else "`" + self.text.replace("`", "``") + "`"


class Literal(NamedTuple):
    """A value as it was typed; what it stands for depends on what it is compared with."""

    text: str
    quoted: bool = False
    span: moments.Span | None = None  # when it is compared with a time

    def __str__(self) -> str:
        if not self.quoted:
            return self.text
        return '"' + self.text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Compare(NamedTuple):
    """`name OP right`. OP is = != < <= > >= ~ !~ like, not like."""

    name: Name
    op: str
    right: Name | Literal

    def __str__(self) -> str:
        return f"{self.name} {self.op} {self.right}"


class In(NamedTuple):
    """`name [not] in (a, b)`."""

    name: Name
    choices: tuple[Literal, ...]
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.name} {'not in' if self.negated else 'in'} ({', '.join(map(str, self.choices))})"


class IsNull(NamedTuple):
    """`name is [not] null`: whether the run has no such value."""

    name: Name
    negated: bool = False

    def __str__(self) -> str:
        return f"{self.name} is {'not ' if self.negated else ''}null"


class Truth(NamedTuple):
    """A name alone: true when its value is there and is not false, 0, empty text or an empty list."""

    name: Name

    def __str__(self) -> str:
        return str(self.name)


class Not(NamedTuple):
    item: "Node"

    def __str__(self) -> str:
        return f"not {_wrapped(self.item)}"


class Both(NamedTuple):
    """All of two or more."""

    items: tuple["Node", ...]

    def __str__(self) -> str:
        return " and ".join(map(_wrapped, self.items))


class Either(NamedTuple):
    """At least one of two or more."""

    items: tuple["Node", ...]

    def __str__(self) -> str:
        return " or ".join(map(_wrapped, self.items))


Node: TypeAlias = Compare | In | IsNull | Truth | Not | Both | Either


def _wrapped(node: Node) -> str:
    return f"({node})" if isinstance(node, (Both, Either)) else str(node)


def matches(node: Node, lookup: Lookup) -> bool:
    """Whether the run behind `lookup` answers to `node`."""
    if isinstance(node, Compare):
        right = lookup(node.right.text) if isinstance(node.right, Name) else node.right
        return right is not None and _holds(lookup(node.name.text), node.op, right)
    if isinstance(node, Both):
        return all(matches(item, lookup) for item in node.items)
    if isinstance(node, Either):
        return any(matches(item, lookup) for item in node.items)
    if isinstance(node, Not):
        return not matches(node.item, lookup)
    value = lookup(node.name.text)
    if isinstance(node, In):
        found = any(_holds(value, "=", choice) for choice in node.choices)
        return found != node.negated and value is not None
    if isinstance(node, IsNull):
        return (value is None or value == [] or value == ()) != node.negated
    return value is not None and bool(value)


def _holds(value: Any, op: str, right: Any) -> bool:
    if value is None:
        return False
    if op in NEGATED:
        return not _holds(value, NEGATED[op], right)
    if isinstance(value, (list, tuple)):
        return any(_holds(item, op, right) for item in value) or (op == "=" and _text(value) == _text(right))
    if op == "~":
        return regex(_text(right)).search(_text(value)) is not None
    if op == "like":
        return regex(translate(_text(right))).match(_text(value)) is not None
    if isinstance(right, Literal):
        if right.span is not None:
            return isinstance(value, (int, float)) and _in_time(value, op, right.span)
        right = _meaning(right, value)
    return _ordered(value, op, right)


def _in_time(value: float, op: str, span: moments.Span) -> bool:
    """A day is from its first moment to its last: `=` is within, `<=` up to its end, others count from its start."""
    if op == "=":
        return span.start <= value < span.end or value == span.start
    if op == "<=":
        return value < span.end or value == span.start
    return _ordered(value, op, span.start)


def _meaning(literal: Literal, value: Any) -> Any:
    """`literal` in the type of the `value` that it is compared with, or as text when it has no such reading."""
    if isinstance(value, bool):
        return {"true": True, "false": False, "1": True, "0": False}.get(literal.text.lower(), literal.text)
    if isinstance(value, (int, float)):
        known = number(literal.text)
        return known if known is not None else _first(moments.parse_duration(literal.text), literal.text)
    return literal.text


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def number(text: str) -> int | float | None:
    """`text` as an int or float (exact for whole numbers; nan and inf count), else None for it is no plain number."""
    if "_" in text or not text.isascii() or text != text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _ordered(left: Any, op: str, right: Any) -> bool:
    if op == "=" and left != left and right != right:
        return True  # `loss = nan` asks for runs whose loss is NaN
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        left, right, mixed = _text(left), _text(right), isinstance(left, str) is not isinstance(right, str)
        if mixed and op != "=":
            return False  # text and numbers have no order
    if op == "=":
        return bool(left == right)
    if op in ("<", "<="):
        return bool(left < right or (op == "<=" and left == right))
    return bool(left > right or (op == ">=" and left == right))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    return str(value)


_compiled: dict[str, re.Pattern[str]] = {}  # re's own cache forgets; a listing asks 10,000 times for one pattern


def regex(pattern: str) -> re.Pattern[str]:
    """`pattern` compiled. Raises re.error."""
    if pattern not in _compiled:
        if len(_compiled) > 100:
            _compiled.clear()
        _compiled[pattern] = re.compile(pattern)
    return _compiled[pattern]
