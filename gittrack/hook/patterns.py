"""Patterns of the settings, made ready for ten thousand names."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate


def fits(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is one of these: a path, a directory (all below it), or a wildcard for path or base name."""
    if not patterns:
        return lambda _path: False
    whole = re.compile("|".join(translate(one) for one in patterns)).match
    exact = frozenset(patterns)  # a name may have brackets in it
    below = tuple(one.rstrip("/") + "/" for one in patterns)
    return lambda path: path in exact or bool(whole(path) or whole(path.rpartition("/")[2]) or path.startswith(below))
