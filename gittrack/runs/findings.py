"""What a check says, and what it may look at: the words that `doctor` and its checks share."""

from collections.abc import Mapping
from typing import NamedTuple

from gittrack.git.repository import Repository

OK, INFO, WARNING, ERROR = "ok", "info", "warning", "error"


class Finding(NamedTuple):
    """`text` says what is so; `command` what to run or do about it, empty where nothing need be done."""

    level: str
    text: str
    command: str = ""


def number(count: int, what: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{count:,} {what}{'s' * (count != 1)}"


class Patient(NamedTuple):
    """The repository to look at, and the environment that its settings depend on."""

    repo: Repository
    environ: Mapping[str, str]
