"""Build secret rules: take the patterns out of detect-secrets, and work out what a text must hold to match each.

The only door to detect_secrets. Slow (160 ms), run once for each version of the scanner. What is worked out is checked
by a test that compares the fast path with the plain patterns on generated secrets; a pattern that is not understood
gets no condition and is tried on every line.
"""

import re
import string
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

from gittrack.core.secret_scan import KINDS, WORD, Rule

if sys.version_info >= (3, 11):
    from re import _parser as sre  # type: ignore[attr-defined]
else:
    import sre_parse as sre

_SKIPPED = frozenset({"IPPublicDetector"})
_MOST = 24  # texts in one group of alternatives
_SHARED = 8  # characters from which on a text that several rules have in common is searched for instead
_WIDE = 1000
_SHARED_START = 3
_FEW = 3  # single characters in a group: more of them are in every line
_LEAST_GROUP = 10  # characters: a shorter single group is a prefix of the secret, or no secret

_AWS = "(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}"

# Changes to single patterns, by their text.
_REPLACED = {
    # Twenty letters out of a DNA or protein sequence are no access key.
    _AWS: f"(?<![A-Z0-9]){_AWS}(?![A-Z0-9])",
}


def build(own: Sequence[Rule]) -> tuple[Rule, ...]:
    """The scanner's rules and `own`, ready for `Scanner`."""
    plain = [*_scanner_rules(), *own]
    return tuple(_with_shared_anchors([prepared(rule) for rule in plain]))


def _scanner_rules() -> list[Rule]:
    detectors = get_mapping_from_secret_type_to_class()
    return [
        _rule(name, pattern)
        for name, detector in sorted(detectors.items())
        if issubclass(detector, RegexBasedDetector) and detector.__name__ not in _SKIPPED
        for pattern in detector.denylist
    ]


def _rule(name: str, compiled: "re.Pattern[str]") -> Rule:
    pattern = _REPLACED.get(compiled.pattern, compiled.pattern)
    if pattern.endswith(("*?", "+?")):
        pattern = pattern[:-1]  # enough to find a secret, but redaction must take all of it
    return Rule(name, pattern, compiled.flags & (re.IGNORECASE | re.VERBOSE), _group(name, pattern))


def _group(name: str, pattern: str) -> int:
    """1 where the pattern's single group is the secret; 0, the whole match, where it is not, or is only its prefix."""
    compiled = re.compile(pattern)
    if compiled.groups != 1:
        return 0
    if name == "Basic Auth Credentials":
        return 1
    return 1 if _group_width(sre.parse(pattern)) >= _LEAST_GROUP else 0


def _group_width(nodes: Any) -> int:
    """Least length of the first group."""
    for kind, argument in nodes:
        if str(kind) == "SUBPATTERN":
            return int(argument[3].getwidth()[0]) if argument[0] == 1 else _group_width(argument[3])
    return 0


def prepared(rule: Rule) -> Rule:
    """The rule with its conditions, as far as they can be worked out."""
    try:
        nodes = sre.parse(rule.pattern, rule.flags)
    except (re.error, RecursionError, OverflowError):
        return rule
    fold = bool(nodes.state.flags & re.IGNORECASE)
    groups = _useful(_texts(nodes, fold).groups)
    usable = bool(groups) and _worth(groups[0])[0] > 1
    kind, length = _longest_word(nodes, fold)
    return rule._replace(
        flags=rule.flags | (re.IGNORECASE if fold else 0),
        kind=kind,
        length=length,
        anchors=_short_list(groups[0].texts) if usable else (),
        lead=groups[0].lead if usable else -1,
        needs=tuple(tuple(sorted(group.texts)) for group in groups),
    )


def _worth(group: "_Group") -> tuple[int, int, list[str]]:
    """Long texts and few of them tell most."""
    return (min(map(len, group.texts)), -len(group.texts), sorted(group.texts))


def _useful(groups: Sequence["_Group"]) -> list["_Group"]:
    """The groups that say something, best first, without what others say already."""
    ranked = sorted((group for group in map(_lean, groups) if _tells(group)), key=_worth, reverse=True)
    kept: list[_Group] = []
    for group in ranked:
        implied = any(all(any(text in longer for text in group.texts) for longer in other.texts) for other in kept)
        if not implied:
            kept.append(group)
    return kept


def _lean(group: "_Group") -> "_Group":
    """Without texts that hold another one of the group: `"key"` when there is `key`."""
    kept = {text for text in group.texts if not any(other in text for other in group.texts - {text})}
    inside = max((text.find(other) for text in group.texts for other in kept if other in text), default=0)
    return _Group(frozenset(kept), group.lead + inside if group.lead >= 0 else -1)


def _tells(group: "_Group") -> bool:
    shortest = min(map(len, group.texts))
    return shortest > 1 or (shortest == 1 and len(group.texts) <= _FEW)


def _short_list(anchors: frozenset[str]) -> tuple[str, ...]:
    """One search instead of six where all begin alike."""
    first, last = min(anchors), max(anchors)
    length = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return (first[:length],) if length >= _SHARED_START else tuple(sorted(anchors))


def _with_shared_anchors(rules: Sequence[Rule]) -> list[Rule]:
    """Let rules search for what their anchors have in common: one pass for eight kinds of private key."""
    single = [rule.anchors[0] for rule in rules if len(rule.anchors) == 1 and rule.length < WORD]
    return [_with_shared_anchor(rule, single) for rule in rules]


def _with_shared_anchor(rule: Rule, others: Sequence[str]) -> Rule:
    if len(rule.anchors) != 1 or rule.length >= WORD:
        return rule
    shared = _most_common(rule.anchors[0], others)
    lead = rule.lead + rule.anchors[0].find(shared) if rule.lead >= 0 else -1
    return rule._replace(anchors=(shared,), lead=lead)


def _most_common(text: str, others: Sequence[str]) -> str:
    """The part of `text` that most of the others have too; of several such parts the longest."""
    pieces = [text[start:end] for start in range(len(text)) for end in range(start + _SHARED, len(text) + 1)]
    return max([text, *pieces], key=lambda piece: (sum(piece in other for other in others), len(piece)))


def _longest_word(nodes: Any, fold: bool) -> tuple[str, int]:
    """(kind, length) of the word that every match holds: of the narrowest kind of which it is long enough."""
    for kind, characters in KINDS.items():
        if fold and kind in ("upper", "lower"):
            continue  # the pattern says [a-f] and means [A-F] as well
        length = _run(nodes, frozenset(characters)).best
        if length >= WORD or kind == "word":
            return kind, length
    return "", 0


class _Run(NamedTuple):
    """How many characters of a kind in a row every match has: somewhere, at its start, at its end."""

    best: int = 0
    head: int = 0
    tail: int = 0
    solid: bool = True  # nothing but such characters, `head` of them at least


_OTHER = _Run(solid=False)


def _run(nodes: Any, kind: frozenset[str]) -> _Run:
    total = _Run()
    for node in nodes:
        total = _joined(total, _run_of(node, kind))
    return total


def _joined(a: _Run, b: _Run) -> _Run:
    head = a.head + b.head if a.solid else a.head
    tail = b.tail + a.tail if b.solid else b.tail
    return _Run(max(a.best, b.best, a.tail + b.head, head, tail), head, tail, a.solid and b.solid)


def _run_of(node: Any, kind: frozenset[str]) -> _Run:
    name, argument = str(node[0]), node[1]
    if name in _ZERO_WIDTH:
        return _Run()
    if name == "LITERAL":
        return _Run(1, 1, 1) if chr(argument) in kind else _OTHER
    if name == "IN":
        return _Run(1, 1, 1) if all(_within(item, kind) for item in argument) else _OTHER
    if name in _INNER:
        return _run(_INNER[name](argument), kind)
    if name == "BRANCH":
        runs = [_run(branch, kind) for branch in argument[1]]
        least = [min(values) for values in zip(*(run[:3] for run in runs), strict=True)]
        return _Run(least[0], least[1], least[2], all(run.solid for run in runs))
    if name in _REPEATS:
        return _repeated_run(int(argument[0]), _run(argument[2], kind))
    return _OTHER


def _repeated_run(least: int, body: _Run) -> _Run:
    if body.solid:
        return _Run(least * body.head, least * body.head, least * body.head)
    return body if least else _OTHER


def _within(item: Any, kind: frozenset[str]) -> bool:
    name, argument = str(item[0]), item[1]
    if name == "LITERAL":
        return chr(argument) in kind
    if name == "RANGE":
        return argument[1] < 128 and all(chr(code) in kind for code in range(argument[0], argument[1] + 1))
    return name == "CATEGORY" and str(argument) in _CATEGORIES and kind.issuperset(_CATEGORIES[str(argument)])


class _Group(NamedTuple):
    """Texts of which one is in every match, `lead` characters after its start at most (-1: anywhere)."""

    texts: frozenset[str]
    lead: int


class _Texts(NamedTuple):
    """All that a pattern can match, when that is few texts; else what is in every match."""

    exact: frozenset[str] | None
    required: tuple[_Group, ...] = ()

    @property
    def groups(self) -> tuple[_Group, ...]:
        return self.required if self.exact is None else (_Group(self.exact, 0),)


_EMPTY = frozenset({""})
_UNKNOWN = _Texts(None)


def _texts(nodes: Any, fold: bool) -> _Texts:
    required: list[_Group] = []
    current, began = _EMPTY, 0
    whole = True
    for place, node in enumerate(nodes):
        found = _texts_of(node, fold)
        if found.exact is not None and len(current) * len(found.exact) <= _MOST:
            current = frozenset(first + second for first in current for second in found.exact)
            continue
        whole = False
        required.append(_Group(current, _width(nodes, began)))
        required += [_Group(texts, _sum(_width(nodes, place), lead)) for texts, lead in found.required]
        current, began = (_EMPTY, place + 1) if found.exact is None else (found.exact, place)
    if whole:
        return _Texts(current)
    return _Texts(None, (*required, _Group(current, _width(nodes, began))))


def _sum(one: int, other: int) -> int:
    return -1 if one < 0 or other < 0 else one + other


def _width(nodes: Any, end: int) -> int:
    """The most that the nodes before `end` can match; -1 when there is no such limit."""
    most = int(nodes[0:end].getwidth()[1]) if end else 0
    return most if most < _WIDE else -1


def _texts_of(node: Any, fold: bool) -> _Texts:
    name, argument = str(node[0]), node[1]
    if name in _ZERO_WIDTH:
        return _Texts(_EMPTY)
    if name == "LITERAL":
        return _Texts(frozenset({_folded(chr(argument), fold)}))
    if name == "IN":
        return _set_texts(argument, fold)
    if name in _INNER:
        other_case = name == "SUBPATTERN" and argument[1] & re.IGNORECASE and not fold
        return _UNKNOWN if other_case else _texts(_INNER[name](argument), fold)
    if name == "BRANCH":
        return _either([_texts(branch, fold) for branch in argument[1]])
    if name in _REPEATS:
        return _repeated_texts(int(argument[0]), int(argument[1]), _texts(argument[2], fold))
    return _UNKNOWN


def _set_texts(items: Any, fold: bool) -> _Texts:
    found: set[str] = set()
    for item in items:
        kind, argument = str(item[0]), item[1]
        codes = [argument] if kind == "LITERAL" else range(argument[0], argument[1] + 1) if kind == "RANGE" else []
        if not codes or len(codes) > _MOST:
            return _UNKNOWN
        found |= {_folded(chr(code), fold) for code in codes}
    return _Texts(frozenset(found)) if len(found) <= _MOST else _UNKNOWN


def _either(branches: Sequence[_Texts]) -> _Texts:
    if all(branch.exact is not None for branch in branches):
        union = frozenset().union(*(branch.exact or () for branch in branches))
        if len(union) <= _MOST:
            return _Texts(union)
    best = [max(branch.groups, key=_worth, default=_Group(_EMPTY, -1)) for branch in branches]
    together = frozenset().union(*(group.texts for group in best))
    lead = -1 if any(group.lead < 0 for group in best) else max(group.lead for group in best)
    return _Texts(None, (_Group(together, lead),)) if len(together) <= _MOST else _UNKNOWN


def _repeated_texts(least: int, most: int, body: _Texts) -> _Texts:
    if least == most == 1:
        return body
    if least == 0:
        return _Texts(body.exact | _EMPTY) if most == 1 and body.exact is not None else _UNKNOWN
    return _Texts(None, body.groups)


def _folded(char: str, fold: bool) -> str:
    return char.lower() if fold else char


_ZERO_WIDTH = frozenset({"AT", "ASSERT", "ASSERT_NOT"})
_CATEGORIES = {"CATEGORY_DIGIT": string.digits, "CATEGORY_WORD": string.ascii_letters + string.digits + "_"}
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_INNER: dict[str, Callable[[Any], Any]] = {
    "SUBPATTERN": lambda argument: argument[3],
    "ATOMIC_GROUP": lambda argument: argument,
}
