"""Take secrets out of text before it is recorded: what is committed to a hidden ref and pushed stays for ever.

Three sources: rules (patterns of a well-kept scanner, see `config.secret_rules`), names (`--password X`,
`db.password=X`), and values that the environment holds under such a name, wherever they turn up.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gittrack.core.secret_scan import Rule, Scanner, rule_of
from gittrack.recorder.secret_names import REDACTED, is_secret_name, secret_values

__all__ = ["Redactor", "secret_values", "spellings", "url"]

_MARK = REDACTED.encode()
_SHORTEST_LINE = 8  # of a secret of several lines; of a key those that hold it are longer

# Patterns are texts and compile when first used: compiled on import, they would cost each command 4 ms.
# A private key is the one secret that spans lines (or holds "\n" as two characters, in JSON). Its body is base64, and
# headers in old formats. Without an END, what looks like a body goes.
_TITLE = rb"[A-Z0-9 ]*? ?PRIVATE KEY(?: BLOCK)?(?:-----)?"
_BODY = rb"(?:(?:\s|\\[nr])*(?:[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info|Version|Comment): [^\n\\]*))*"
_KEY = rb"(?s)(?:-----)?BEGIN " + _TITLE + rb"(?:.{0,16384}?END " + _TITLE + rb"|" + _BODY + rb")"
_KEY_LINES = rb"(?:[A-Za-z0-9+/=]*[ \t\r]*\n|(?:Proc-Type|DEK-Info|Version|Comment): [^\n]*\n)*"
_KEY_REST = _KEY_LINES + rb"(?:(?:-----)?END " + _TITLE + rb"\n?)?"
_KEY_OPEN = rb"-----BEGIN " + _TITLE + rb"[ \t\r]*\n" + _KEY_LINES + rb"\Z"
_KEY_NAME = "Private Key"

_LOGIN = r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s\"'@]*)@"
_SETTING = r"((?:--?)?[A-Za-z_][\w.-]*=|--?[A-Za-z][\w.-]*\s+)(\"[^\"]*\"|'[^']*'|[^\s\"']+)"
_TEMPLATE = rb"[{<*]|%s|%\("


class Redactor:
    """Rules, known values, and what is allowed. Immutable; may be shared between threads."""

    def __init__(self, rules: Iterable[Rule] = (), values: Iterable[str] = (), allow: Iterable[str] = ()) -> None:
        """`allow`: names of rules that are not to be used, and texts that are no secrets."""
        self.rules = tuple(rules)
        self.allow = tuple(allow)
        self.values = tuple(sorted(set(values) - set(self.allow), key=lambda value: (-len(value), value)))
        off = {text.lower() for text in self.allow}
        self._scanner = Scanner(rule for rule in self.rules if rule.name.lower() not in off)
        self._keys = _KEY_NAME.lower() not in off
        self._allowed = frozenset(_encoded(text)[0] for text in self.allow)
        self._literals = [_encoded(value)[0] for value in self.values if value]

    def knowing(self, values: Iterable[str]) -> Redactor:
        """The same, which also takes these exact texts out."""
        return Redactor(self.rules, (*self.values, *values), self.allow)

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` makes the same redactor in another process."""
        return {"rules": [list(rule) for rule in self.rules], "values": list(self.values), "allow": list(self.allow)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Redactor:
        return Redactor([rule_of(fields) for fields in value["rules"]], value["values"], value["allow"])

    def bytes(self, data: builtins.bytes) -> builtins.bytes:
        """`data` with each secret replaced by `[redacted]`; `data` itself when there is none."""
        for literal in self._literals:
            if literal in data:
                data = data.replace(literal, _MARK)
        if self._keys and b"PRIVATE KEY" in data:
            data = re.sub(_KEY, _MARK, data)
        spans = [(start, end) for start, end, _ in self._scanner.spans(data) if data[start:end] not in self._allowed]
        return _replaced(data, spans) if spans else data

    def text(self, text: str) -> str:
        """The same for text."""
        data, errors = _encoded(text)
        clean = self.bytes(data)
        return text if clean is data else clean.decode("utf-8", errors)

    def find(self, data: builtins.bytes) -> frozenset[tuple[str, builtins.bytes]]:
        """(name of the rule, the secret) of all that the rules find, placeholders in templates apart."""
        found = {(name, data[start:end]) for start, end, name in self._scanner.spans(data)}
        found = {each for each in found if not re.search(_TEMPLATE, each[1])}
        if self._keys and b"PRIVATE KEY" in data:
            found = {each for each in found if each[0] != _KEY_NAME}  # the whole key, so that two can be told apart
            found |= {(_KEY_NAME, match[0]) for match in re.finditer(_KEY, data)}
        return frozenset(each for each in found if each[1] not in self._allowed)

    def stream(self) -> Callable[[builtins.bytes], builtins.bytes]:
        """A function like `bytes` for the pieces of one text, whole lines each: it remembers an open private key."""
        return _Stream(self)

    def mapping(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A copy without secrets, by name and by content, at any depth."""
        return {key: self.value(str(key), value) for key, value in values.items()}

    def value(self, name: str, value: Any) -> Any:
        """What may be recorded of `value` under `name`. A number is no secret: `n_tokens`."""
        if isinstance(value, str):
            return REDACTED if value and is_secret_name(name) else self.text(value)
        if isinstance(value, builtins.bytes):
            return _MARK if value and is_secret_name(name) else self.bytes(value)
        if isinstance(value, Mapping):
            secret = is_secret_name(name)
            return {key: self.value(name if secret else str(key), each) for key, each in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.value(name, each) for each in value)
        return value

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A command without secrets: `--password X`, `--token=X`, `db.password=X`, logins in URLs, and the rules."""
        clean: list[str] = []
        expected = False
        for argument in argv:
            name, equals, value = argument.partition("=")
            if expected and not argument.startswith("-"):
                clean.append(REDACTED)
                expected = False
                continue
            option = argument.startswith("-") and not equals and " " not in argument
            expected = option and is_secret_name(argument)
            if value and " " not in name and is_secret_name(name):
                clean.append(f"{name}={REDACTED}")
            else:
                clean.append(self.text(url(_without_options(argument))))
        return clean


class _Stream:
    """State of one stream: whether a private key has begun and not ended."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._open = False

    def __call__(self, data: bytes) -> bytes:
        if self._open:
            rest = re.match(_KEY_REST, data)
            seen = rest[0] if rest else b""
            self._open = len(seen) == len(data) and b"END " not in seen
            data = data[len(seen) :]
        begun = re.search(_KEY_OPEN, data) if b"PRIVATE KEY" in data else None
        if begun:
            self._open = True
            data = data[: begun.start()] + _MARK + b"\n"
        return self._redactor.bytes(data)


def spellings(value: str) -> list[str]:
    """A secret as programs print it: itself, as a literal of Python or JSON, and, since lines may come one by one, each
    line of it that is long enough not to be found by chance."""
    lines = [line.strip() for line in value.splitlines()] if "\n" in value or "\r" in value else []
    literals = [repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    return list(dict.fromkeys([value, *literals, *(line for line in lines if len(line) >= _SHORTEST_LINE)]))


def url(text: str) -> str:
    """`https://user:password@host` as `https://host`. A user name alone stays where it is no credential: ssh://git@host."""
    return re.sub(_LOGIN, _without_login, text) if "://" in text and "@" in text else text


def _without_login(match: re.Match[str]) -> str:
    scheme, login = match[1], match[2]
    return scheme if ":" in login or scheme.lower() in ("http://", "https://") else match[0]


def _without_options(text: str) -> str:
    """The same inside one argument that is itself a command line: `sh -c "TOKEN=X train --password X"`."""
    return re.sub(_SETTING, _without_value, text) if " " in text else text


def _without_value(match: re.Match[str]) -> str:
    name, value = match[1], match[2]
    return name + (REDACTED if is_secret_name(name.strip("= ")) else _without_options(value))


def _replaced(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            parts += (data[done:start], _MARK)
        done = max(done, end)
    parts.append(data[done:])
    return b"".join(parts)


def _encoded(text: str) -> tuple[bytes, str]:
    """UTF-8 and the error handler that reads it back."""
    try:
        return text.encode("utf-8", "surrogateescape"), "surrogateescape"
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass"), "surrogatepass"
