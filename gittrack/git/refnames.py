"""What every backend checks before a ref moves: libgit2's transactions check neither names nor that objects exist."""

import re
from collections.abc import Sequence

from gittrack import errors
from gittrack.git.objects import whole
from gittrack.git.repository import RefChange

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|[/.]\Z")


def is_valid(ref: str) -> bool:
    """What `git check-ref-format` allows, below refs/."""
    return ref.startswith("refs/") and ref.count("/") >= 2 and _FORBIDDEN.search(ref) is None


def check(changes: Sequence[RefChange]) -> None:
    """Raises ValueError: a caller that gets here with such names or oids has a bug, and nothing was changed."""
    for change in changes:
        if not is_valid(change.ref):
            raise ValueError(f"{change.ref!r} is not a valid ref name")
        for oid in (change.old, change.new):
            if oid is not None:
                whole(oid)
    if len({change.ref for change in changes}) < len(changes):
        raise ValueError("a ref may change once in one update")


def in_order(changes: Sequence[RefChange]) -> list[RefChange]:
    """As they are carried out: deletions last."""
    return [each for each in changes if each.new is not None] + [each for each in changes if each.new is None]


def moved(change: RefChange, found: str | None) -> errors.RefConflict:
    """The error for a ref that is not where it was expected."""
    return errors.RefConflict(
        f"{change.ref} is {found or 'absent'}, not {change.old or 'absent'}: another process moved it",
        "run the command again",
    )


def in_the_way(said: str) -> errors.RefConflict:
    """The error for `a/b` where `a` is a ref, or the other way round."""
    return errors.RefConflict(said, "delete or rename the ref that is in the way")


def locked(place: str) -> errors.RefConflict:
    """The error for a lock that stays."""
    return errors.RefConflict(
        f"{place} is held by another process",
        "run the command again; if no git is running, a crash left the lock behind: remove that file",
    )


def no_object(change: RefChange) -> errors.GitFailed:
    """The error for a ref that would dangle."""
    return errors.GitFailed(f"{change.ref} cannot be set to {change.new}: there is no such object")
