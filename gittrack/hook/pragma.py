"""The comments by which an author says that a line holds no secret, as detect-secrets has them."""

import re

_HERE = re.compile(rb"pragma:?[ \t]*(?:allow|white)list[ -]secret", re.IGNORECASE)
_BELOW = re.compile(rb"pragma:?[ \t]*(?:allow|white)list[ -]nextline[ -]secret", re.IGNORECASE)


def is_allowed(line: bytes, before: bytes) -> bool:
    """`before`: the line before it."""
    return _HERE.search(line) is not None or _BELOW.search(before) is not None
