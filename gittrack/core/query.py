"""The language of `--where` and `--sort`: small, safe, and never handed to `eval`.

    expression := all ("or" all)*            all := test ("and" test)*
    test       := "not" test | "(" expression ")" | name
                | name OP value | value OP name | value OP name OP value        0.01 < params.lr <= 0.1
                | name ["not"] "in" "(" value ("," value)* ")" | name "is" ["not"] "null"
    OP         := = == != < <= > >= | ~ !~ (regular expression, found anywhere) | like | not like (* and ? and [..])

A name is `status`, `params.lr`, `summary.loss` (last value), `metrics.val/acc.best`, or its short form `lr`; backticks
hold an odd one: `` `my metric` ``. A value is a number, text (quotes are needed around blanks and punctuation only),
true, false, a duration (`5m`, `2h`, `1h30m`) or, compared with `created`, `started` or `ended`, a time: `2 days ago`,
`yesterday`, `2026-11-01`, `"2026-11-01 12:30"`. On the right of an operator a word is a value, unless it begins with
`params.`, `metrics.` or `summary.` or stands in backticks. Keywords are read in any case; text is compared exactly.

What the comparisons mean is in `expression`; which names exist is in `fields`.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from gittrack.core import expression as ex
from gittrack.core import moments
from gittrack.errors import BadExpression
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.core.fields import Known

TIMES = frozenset({"created", "started", "ended"})
PREFIXES = ("params.", "metrics.", "summary.")
DEEPEST = 50  # of parentheses and `not`: a limit of ours, so that no text can exhaust Python's stack

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[(),])|(?P<op>==|!=|<>|<=|>=|!~|=|<|>|~)
        |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
        |(?P<word>(?:`(?:[^`]|``)*`|[^\s(),=<>!~"'`])+)|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_BACKTICKED = re.compile(r"`((?:[^`]|``)*)`")
_ESCAPE = re.compile(r"""\\([\\"'])""")
_CANONICAL = {"==": "=", "<>": "!="}


class Token(NamedTuple):
    kind: str  # mark, op, text, word, end
    text: str
    at: int

    def keyword(self) -> str:
        return self.text.lower() if self.kind == "word" else ""


class Expression(NamedTuple):
    """A parsed `--where`. Equal trees are equal questions; `text` and `places` serve messages alone."""

    tree: ex.Node
    text: str
    places: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return str(self.tree)

    def matches(self, lookup: ex.Lookup) -> bool:
        """Whether the run behind `lookup` (name -> value, None when missing) answers to this."""
        return ex.matches(self.tree, lookup)

    def names(self) -> set[str]:
        """Every name it looks up, as written."""
        return {name for name, _ in self.places}


class SortKey(NamedTuple):
    """One key of `--sort`."""

    name: str
    descending: bool = False


def parse(text: str, clock: moments.Clock) -> Expression:
    """Read `text`. `clock` gives `2 days ago` its meaning. Raises BadExpression with a caret under the spot."""
    parser = _Parser(text, clock)
    tree = parser.either(0)
    if parser.token.kind != "end":
        raise parser.error("expected `and`, `or` or the end here")
    return Expression(tree, text, tuple(parser.places))


def parse_sort(text: str) -> list[SortKey]:
    """`KEY[-desc|-asc][,KEY...]` as keys, first one first; ascending when not said. Raises BadExpression when empty."""
    keys = []
    for part in text.split(","):
        name, _, direction = part.strip().rpartition("-")
        if direction not in ("desc", "asc") or not name:
            name, direction = part.strip(), "asc"
        if name in ("", "-desc", "-asc"):
            raise BadExpression(
                f"--sort has an empty key: {text!r}", "write for example `--sort loss` or `--sort loss-desc`"
            )
        keys.append(SortKey(name.strip("`"), direction == "desc"))
    return keys


def check(question: Expression, known: "Known") -> None:
    """Raise BadExpression for a name in `question` that no run has, with the nearest known one."""
    for name, at in question.places:
        if name not in known:
            raise unknown(name, known, question.text, at)


def unknown(name: str, known: Iterable[str], text: str = "", at: int = 0) -> BadExpression:
    """The error for a name that no run has, suggesting the nearest of `known`."""
    near = _nearest(name, sorted(set(known)))
    hint = f"did you mean `{near}`?" if near else "`git track ls --columns help` lists the names"
    return BadExpression(f"no run has anything called `{name}`" + (_caret(text, at) if text else ""), hint)


def _nearest(name: str, known: list[str]) -> str | None:
    close = lazy("difflib").get_close_matches
    bare = name.partition(".")[2] if name.startswith(PREFIXES) else name
    elsewhere = [prefix + bare for prefix in PREFIXES if bare != name and prefix + bare in known]
    found = elsewhere or close(name, known, 1, 0.6) or close(bare, known, 1, 0.6)
    return found[0] if found else None


def _caret(text: str, at: int) -> str:
    line = "".join(" " if char.isspace() or not char.isprintable() else char for char in text)
    start = max(0, at - 60)
    return f"\n  {line[start : at + 30]}\n  {' ' * (at - start)}^"


class _Parser:
    """Recursive descent over a list of tokens; `token` is the one to be read next."""

    def __init__(self, text: str, clock: moments.Clock) -> None:
        self.text, self.clock = text, clock
        self.places: list[tuple[str, int]] = []
        self.tokens = list(self._tokens())
        self.index = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def ahead(self, count: int) -> Token:
        return self.tokens[min(self.index + count, len(self.tokens) - 1)]

    def error(self, message: str, at: int | None = None, hint: str = "") -> BadExpression:
        where = self.token.at if at is None else at
        return BadExpression(message + _caret(self.text, where), hint or "`git track help ls` describes the language")

    def _tokens(self) -> Iterable[Token]:
        at = 0
        while True:
            match = _TOKEN.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                odd = {"`": "a backtick", '"': "a quote", "'": "a quote"}.get(self.text[at])
                raise self.error(f"{odd} is not closed" if odd else f"`{self.text[at]}` means nothing here", at)
            kind = match.lastgroup or "end"
            yield Token(
                kind, match[kind] if match.lastgroup else "", match.start(kind) if match.lastgroup else len(self.text)
            )
            if kind == "end":
                return
            at = match.end()

    def take(self) -> Token:
        token = self.token
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def accept(self, *words: str) -> bool:
        """Read these words when they come next."""
        if all((self.ahead(n).keyword() or self.ahead(n).text) == word for n, word in enumerate(words)):
            if any(self.ahead(n).kind == "text" for n in range(len(words))):
                return False
            for _ in words:
                self.take()
            return True
        return False

    def either(self, depth: int) -> ex.Node:
        items = [self.both(depth)]
        while self.accept("or"):
            items.append(self.both(depth))
        return items[0] if len(items) == 1 else ex.Either(tuple(items))

    def both(self, depth: int) -> ex.Node:
        items = [self.test(depth)]
        while self.accept("and"):
            items.append(self.test(depth))
        return items[0] if len(items) == 1 else ex.Both(tuple(items))

    def test(self, depth: int) -> ex.Node:
        if depth > DEEPEST:
            raise self.error(f"more than {DEEPEST} levels deep")
        if self.accept("not"):
            return ex.Not(self.test(depth + 1))
        if self.accept("("):
            inner = self.either(depth + 1)
            if not self.accept(")"):
                raise self.error("`)` is missing")
            return inner
        if self.token.kind == "text" or ex.number(self.token.text) is not None:
            return self.from_value()
        return self.from_name()

    def from_value(self) -> ex.Node:
        """`value OP name`, and `value OP name OP value`."""
        literal_at, literal = self.token.at, self.value()
        op = self.operator()
        if op in ("~", "!~", "like", "not like"):
            raise self.error(f"the name stands on the left of `{op}`", literal_at)
        name = self.name()
        first = self.compare(name, ex.SWAPPED.get(op, op), literal, literal_at)
        if self.token.kind != "op":
            return first
        return ex.Both((first, self.right_of(name)))

    def from_name(self) -> ex.Node:
        name = self.name()
        if self.accept("is", "null"):
            return ex.IsNull(name)
        if self.accept("is", "not", "null"):
            return ex.IsNull(name, True)
        if self.accept("in"):
            return ex.In(name, self.choices(name))
        if self.accept("not", "in"):
            return ex.In(name, self.choices(name), True)
        if self.token.kind == "op" or self.token.keyword() in ("like", "not"):
            return self.right_of(name)
        if self.token.keyword() == "is":
            raise self.error("expected `is null` or `is not null`")
        return ex.Truth(name)

    def right_of(self, name: ex.Name) -> ex.Node:
        op = self.operator()
        at, token = self.token.at, self.token
        if token.kind == "word" and ("`" in token.text or token.text.startswith(PREFIXES)):
            return ex.Compare(name, op, self.name())
        return self.compare(name, op, self.value(), at)

    def operator(self) -> str:
        if self.accept("not", "like"):
            return "not like"
        if self.accept("like"):
            return "like"
        if self.token.kind != "op":
            raise self.error("expected a comparison such as `=`, `<`, `~`, `in` or `like`")
        op = self.take().text
        return _CANONICAL.get(op, op)

    def name(self) -> ex.Name:
        token = self.token
        if token.kind != "word" or token.keyword() in ex.KEYWORDS:
            raise self.error("expected a name" if token.kind != "end" else "something is missing at the end")
        self.take()
        text = _BACKTICKED.sub(lambda match: match[1].replace("``", "`"), token.text)
        if not text:
            raise self.error("a name is empty", token.at)
        self.places.append((text, token.at))
        return ex.Name(text)

    def value(self) -> ex.Literal:
        token = self.token
        if token.kind == "text":
            self.take()
            return ex.Literal(_ESCAPE.sub(r"\1", token.text[1:-1]), True)
        if token.keyword() == "null":
            raise self.error("nothing equals null", hint="write `NAME is null` or `NAME is not null`")
        if token.kind != "word" or "`" in token.text or token.keyword() in ex.KEYWORDS - {"true", "false"}:
            raise self.error("expected a value" if token.kind != "end" else "a value is missing at the end")
        for count in (1, 2):  # `5m ago`, `2 days ago`
            if ex.number(token.text[:1]) is not None and self.ahead(count).keyword() == "ago":
                return ex.Literal(" ".join(self.take().text for _ in range(count + 1)), True)
        return ex.Literal(self.take().text)

    def choices(self, name: ex.Name) -> tuple[ex.Literal, ...]:
        if not self.accept("("):
            raise self.error("expected `(` after `in`")
        found = []
        while True:
            at = self.token.at
            found.append(self.timed(name, self.value(), at))
            if self.accept(")"):
                return tuple(found)
            if not self.accept(","):
                raise self.error("expected `,` or `)`")

    def compare(self, name: ex.Name, op: str, literal: ex.Literal, at: int) -> ex.Node:
        if op in ("~", "!~"):
            try:
                ex.regex(literal.text)
            except (re.error, OverflowError, RecursionError) as error:
                raise self.error(f"not a regular expression: {error}", at) from None
        elif op not in ("like", "not like"):
            literal = self.timed(name, literal, at)
        return ex.Compare(name, op, literal)

    def timed(self, name: ex.Name, literal: ex.Literal, at: int) -> ex.Literal:
        """`literal` with the time that it stands for, when `name` is a time."""
        if name.text not in TIMES:
            return literal
        span = moments.parse_moment(literal.text, self.clock)
        if span is None:
            ago = moments.parse_duration(literal.text) is not None and ex.number(literal.text) is None
            hint = f'write "{literal.text} ago"' if ago else 'write for example "2 days ago", yesterday or 2026-11-01'
            raise self.error(f"`{literal.text}` is not a time", at, hint)
        return literal._replace(span=span)
