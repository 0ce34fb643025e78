"""`push: auto`: what is known of the pushes that nobody asked for.

`track/push.log` holds what the last one said: when it began, its output, and its exit code. That there is something to
push is a file, too: whoever finds a push going on leaves it behind, and the one that goes on sees it when it is done.
"""

import contextlib
import os
import time
from typing import NamedTuple

from gittrack.git.discover import Paths

LOG, WANTED, LOCK = "push.log", "push.wanted", "pusher.lock"
_BEGAN, _ENDED = "began ", "ended with code "
_LINES = 20


class Last(NamedTuple):
    """The last automatic push. `code`: None while it goes on, or when it was killed."""

    when: float
    code: int | None
    said: str


def path(paths: Paths, name: str) -> str:
    return os.path.join(paths.common_dir, "track", name)


def want(paths: Paths) -> None:
    """Leave word that there is something to push. Raises OSError."""
    with open(path(paths, WANTED), "ab"):
        pass


def take(paths: Paths) -> bool:
    """Whether there was, for whoever is going to push now."""
    try:
        os.unlink(path(paths, WANTED))
    except FileNotFoundError:
        return False
    return True


def began() -> bytes:
    """The first line of the log."""
    return f"{_BEGAN}{time.time():.0f}\n".encode()


def ended(code: int) -> bytes:
    """The last line of it."""
    return f"{_ENDED}{code}\n".encode()


def last(paths: Paths) -> Last | None:
    """What the log says; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError), open(path(paths, LOG), encoding="utf-8", errors="replace") as file:
        first, *rest = file.read(100_000).splitlines()
        code = int(rest[-1].removeprefix(_ENDED)) if rest and rest[-1].startswith(_ENDED) else None
        said = rest[:-1] if code is not None else rest
        return Last(float(first.removeprefix(_BEGAN)), code, "\n".join(said[-_LINES:]))
    return None
