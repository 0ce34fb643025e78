"""Find what secret rules find, at the speed at which a console prints.

Fifty patterns tried on every line reach 2 MB/s. But nearly every secret holds either a long unbroken word or a fixed
text, and both are found at a gigabyte a second. So a rule carries what must be in a line for it to match (derived from
the pattern by `config.secret_prefilter`, once), and only lines, or only places, that have it are looked at. Lines,
because the scanner that the rules come from works by lines too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

WORD = 20  # characters: shorter ones are common in what programs print, every token is longer
_DIGITS, _SMALL = "0123456789", "abcdefghijklmnopqrstuvwxyz"
# Kinds of word, narrow ones first: a run of capitals and digits is rarer than a run of anything.
KINDS = {
    "upper": _DIGITS + _SMALL.upper(),
    "lower": _DIGITS + _SMALL,
    "letters": _DIGITS + _SMALL + _SMALL.upper(),
    "word": _DIGITS + _SMALL + _SMALL.upper() + "_-",
}
_TABLES = {kind: bytes(0x61 if chr(code) in some else 0x20 for code in range(256)) for kind, some in KINDS.items()}

_NEAR = 32  # characters before an anchor at each of which a match is tried

Span = tuple[int, int, str]  # start, end, name of the rule


class Rule(NamedTuple):
    """One pattern, and what must be there for it to match."""

    name: str
    pattern: str
    flags: int = 0
    group: int = 0  # which group is the secret; 0 is all of the match
    kind: str = ""  # every match holds an unbroken word of this kind (`KINDS`) …
    length: int = 0  # … and of this length; from WORD on, that is what is searched for
    anchors: tuple[str, ...] = ()  # one of these is in every match
    lead: int = -1  # at most so many characters of a match precede the anchor; -1: unknown
    needs: tuple[tuple[str, ...], ...] = ()  # of each group of texts, one is in every match

    @property
    def lowered(self) -> bool:
        """Whether the texts are in lower case, to be compared with lower-cased input."""
        return bool(self.flags & re.IGNORECASE)


def rule_of(fields: Sequence[Any]) -> Rule:
    """A rule from its JSON form, a list. Raises TypeError or ValueError when it is none."""
    name, pattern, flags, group, kind, length, anchors, lead, needs = fields
    if kind and kind not in KINDS:
        raise ValueError(f"{kind} is no kind of word")
    groups = tuple(tuple(map(str, texts)) for texts in needs)
    anchors = tuple(map(str, anchors))
    return Rule(str(name), str(pattern), int(flags), int(group), str(kind), int(length), anchors, int(lead), groups)


class Scanner:
    """Rules made ready. Patterns compile when first needed: all of them cost 40 ms."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        ready = [_Ready(rule) for rule in rules]
        self._by_word = [each for each in ready if each.rule.length >= WORD]
        rest = [each for each in ready if each.rule.length < WORD]
        self._by_place = [each for each in rest if each.pinned]
        self._by_line = _by_anchor(each for each in rest if each.rule.anchors and not each.pinned)
        self._always = [each for each in rest if not each.rule.anchors]

    def spans(self, data: bytes) -> Iterator[Span]:
        """All that is found, in no order; spans may overlap."""
        if self._by_word:
            yield from self._in_long_words(data)
        lowered = data.lower()
        for each in self._by_place:
            yield from each.at_anchors(data, lowered, 0)
        for anchor, low, rules in self._by_line:
            for start, end in _lines_with(lowered if low else data, anchor):
                yield from _tried(data[start:end], start, rules)
        if self._always:
            for start, end in _lines_with(data, b""):
                yield from _tried(data[start:end], start, self._always)

    def _in_long_words(self, data: bytes) -> Iterator[Span]:
        """Look at the lines with a long word; first at all of them at once, which leaves few rules or none."""
        lines = list(_lines_with(data.translate(_TABLES["word"]), b"a" * WORD, data))
        if not lines:
            return
        together = b"\n".join([data[start:end] for start, end in lines])
        lowered = together.lower()
        words = _Words(together)
        rules = [each for each in self._by_word if each.possible(together, lowered) and words.holds(each.rule)]
        if rules:
            for start, end in lines:
                yield from _tried(data[start:end], start, rules)


class _Words:
    """Which kinds of long word a text holds."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._known: dict[tuple[str, int], bool] = {}

    def holds(self, rule: Rule) -> bool:
        key = (rule.kind, rule.length)
        if key not in self._known:
            self._known[key] = b"a" * rule.length in self._text.translate(_TABLES[rule.kind])
        return self._known[key]


class _Ready:
    """A rule and its pattern."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.needs = [[text.encode() for text in group] for group in rule.needs]
        self.anchors = [text.encode() for text in rule.anchors]
        self.pinned = bool(rule.anchors) and 0 <= rule.lead <= _NEAR
        self._pattern: re.Pattern[bytes] | None = None

    @property
    def pattern(self) -> re.Pattern[bytes]:
        if self._pattern is None:
            self._pattern = re.compile(self.rule.pattern.encode(), self.rule.flags | re.MULTILINE)
        return self._pattern

    def possible(self, line: bytes, lowered: bytes) -> bool:
        text = lowered if self.rule.lowered else line
        return all(any(literal in text for literal in group) for group in self.needs)

    def find(self, line: bytes, lowered: bytes, offset: int) -> Iterator[Span]:
        """What there is in one line that begins at `offset`."""
        if self.pinned:
            yield from self.at_anchors(line, lowered, offset)
        else:
            for match in self.pattern.finditer(line):
                yield self._span(match, offset)

    def at_anchors(self, text: bytes, lowered: bytes, offset: int) -> Iterator[Span]:
        """What there is around the anchors: a pattern tried at one place costs nothing, searched for it costs a lot."""
        searched = lowered if self.rule.lowered else text
        for anchor in self.anchors:
            at = searched.find(anchor)
            while at >= 0:
                for start in range(max(0, at - self.rule.lead), at + 1):
                    match = self.pattern.match(text, start)
                    if match:
                        yield self._span(match, offset)
                at = searched.find(anchor, at + 1)

    def _span(self, match: re.Match[bytes], offset: int) -> Span:
        start, end = match.span(self.rule.group)
        text = match[self.rule.group]
        return (
            offset + start + len(text) - len(text.lstrip()),
            offset + end - len(text) + len(text.rstrip()),
            self.rule.name,
        )


def _by_anchor(rules: Iterable[_Ready]) -> list[tuple[bytes, bool, list[_Ready]]]:
    groups: dict[tuple[bytes, bool], list[_Ready]] = {}
    for each in rules:
        for anchor in each.anchors:
            groups.setdefault((anchor, each.rule.lowered), []).append(each)
    return [(anchor, low, found) for (anchor, low), found in groups.items()]


def _tried(line: bytes, offset: int, rules: list[_Ready]) -> Iterator[Span]:
    """What the rules find in one line."""
    lowered = line.lower()
    for each in rules:
        if each.possible(line, lowered):
            yield from each.find(line, lowered, offset)


def _lines_with(searched: bytes, text: bytes, data: bytes | None = None) -> Iterator[tuple[int, int]]:
    """Start and end of each line in which `text` is. `data` is what has the line ends, if not what is searched."""
    data = searched if data is None else data
    at = searched.find(text)
    while at >= 0:
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield data.rfind(b"\n", 0, at) + 1, end
        at = searched.find(text, end + 1)
