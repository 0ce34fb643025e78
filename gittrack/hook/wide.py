"""Secrets in texts that git takes for binary files, since they are in UTF-16: of those there is no patch to search.

What the file as it was gives away already is history, and passes.
"""

import re
from collections.abc import Iterator, Sequence

from gittrack.core import wide_text
from gittrack.core.redact import Redactor
from gittrack.git import catfile
from gittrack.hook import staged
from gittrack.hook.place import Place
from gittrack.hook.pragma import is_allowed
from gittrack.hook.staged import Change


def found(
    place: Place, wanted: staged.Scope, comparison: tuple[str, ...], changes: Sequence[Change], redactor: Redactor
) -> Iterator[tuple[str, int, str]]:
    """(path, line, name of the rule) of those in `changes`. Raises GitFailed."""
    binary = set(staged.binary(place, wanted, comparison))
    files = [one for one in changes if one.path in binary]
    for one, blob in zip(files, catfile.many(place.git, [one.oid for one in files]), strict=True):
        text = wide_text.utf8(blob.data) if blob else None
        if text and redactor.find(text):
            yield from _in_text(one.path, text, _before(place, comparison, one.path, redactor), redactor)


def _before(place: Place, comparison: tuple[str, ...], path: str, redactor: Redactor) -> frozenset[bytes]:
    """The secrets that the file had in what it is compared with."""
    old = place.git.call("cat-file", "blob", f"{staged.base(comparison)}:{path}")
    text = (wide_text.utf8(old.out) or old.out) if old.code == 0 else b""
    return frozenset(secret for _, secret in redactor.find(text))


def _in_text(path: str, text: bytes, known: frozenset[bytes], redactor: Redactor) -> Iterator[tuple[str, int, str]]:
    before = b""
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", text), 1):
        if not is_allowed(line, before):
            yield from ((path, number, name) for name, secret in redactor.find(line) if secret not in known)
        before = line
