"""Which remote, and which runs, the words of a sharing command mean."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from gittrack.cli.context import Workplace
from gittrack.lazy import lazy


def meant(place: Workplace, words: Sequence[str]) -> tuple[str, list[str]]:
    """The remote, and the runs: the first word is a remote when git knows one of that name, or it is an address."""
    remotes: Any = lazy("gittrack.runs.remotes")
    first = words[0] if words else ""
    if first and (remotes.is_known(place.git, first) or is_address(first)):
        return remotes.choose(place.git, whole(first)), list(words[1:])
    return remotes.choose(place.git), list(words)


def is_address(word: str) -> bool:
    """Whether it is a URL, a path, or `user@host:path`; a selector such as best:val/acc is none."""
    host, colon, _ = word.partition(":")
    return "://" in word or word.startswith(("/", "./", "../", "~/")) or bool(colon and "@" in host)


def whole(word: str) -> str:
    """A path as it may be kept: git is called in other folders than this one."""
    return os.path.abspath(os.path.expanduser(word)) if word.startswith(("./", "../", "~/")) else word


def shown(remote: str) -> str:
    """It, as it may be printed."""
    found: str = lazy("gittrack.git.lfs").shown(remote)
    return found


def keyed(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by words (`run`, `annotation log`) as JSON has them: `runs`, `annotation_logs`."""
    return {f"{word.replace(' ', '_')}s": number for word, number in counts.items()}
