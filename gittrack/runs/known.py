"""Which files a remote is known to have, so that a second push neither assembles nor asks.

A note of this clone, by the address of the remote: `track/known/<digest>`, a sha256 a line. It may be wrong when
somebody emptied the remote; whoever doubts it forgets it, and all is offered again.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable

from gittrack.git import loose
from gittrack.git.discover import Paths

_LINE = re.compile(r"[0-9a-f]{64}")


def load(paths: Paths, place: str) -> set[str]:
    """What `place` has, as far as is known."""
    try:
        with open(_path(paths, place), encoding="ascii", errors="replace") as file:
            return {line for line in file.read().split("\n") if _LINE.fullmatch(line)}
    except FileNotFoundError:
        return set()


def add(paths: Paths, place: str, digests: Iterable[str]) -> None:
    """Raises CannotWrite."""
    path = _path(paths, place)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="ascii") as file:  # lines of one write: two pushes at a time do not mix them
            file.write("".join(f"{digest}\n" for digest in digests))
    except OSError as error:
        raise loose.cannot_write(error, path) from error


def forget(paths: Paths, place: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(paths, place))


def _path(paths: Paths, place: str) -> str:
    return os.path.join(paths.common_dir, "track", "known", hashlib.sha256(place.encode()).hexdigest()[:16])
