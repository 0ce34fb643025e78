"""What this clone knows of how a remote takes pushes, and what its user has agreed to send there.

A file beside the note of what was seen there (`runs.remotes`). Losing it costs a question, and a push that is refused.
"""

import contextlib
import json
import os
from typing import NamedTuple

from gittrack.git import loose
from gittrack.git.discover import Paths
from gittrack.git.lfs import shown
from gittrack.runs import remotes


class Manners(NamedTuple):
    """`agreed`: to a push there, `code`: with the code. The others: whether the server does that."""

    url: str
    agreed: bool = False
    code: bool = False
    atomic: bool = True
    deletes: bool = True
    batch: int = 0  # refs in one push; 0: as the settings say


def load(paths: Paths, url: str) -> Manners:
    """What is known of `url`."""
    with contextlib.suppress(OSError, ValueError, TypeError), open(_path(paths, url), encoding="utf-8") as file:
        found = Manners(**json.load(file))
        if all(type(one) is type(other) for one, other in zip(found, Manners(url), strict=True)):
            return found._replace(url=url)
    return Manners(url)


def save(paths: Paths, manners: Manners) -> None:
    """Raises CannotWrite."""
    path = _path(paths, manners.url)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(manners._asdict() | {"url": shown(manners.url)}, file)
        os.replace(temporary, path)
    except OSError as error:
        raise loose.cannot_write(error, path) from error


def _path(paths: Paths, url: str) -> str:
    return os.path.join(paths.common_dir, "track", "remotes", f"{remotes.digest(url)}.push")
