"""What a command works on: the repository it was called in, opened piece by piece.

`ls` needs the paths and the index and must not pay for pygit2 or for settings, so nothing here is opened before it is
asked for. One `Workplace` serves one call; the frame closes it.
"""

import os
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from gittrack.errors import NotARepository
from gittrack.git.discover import Paths, discover
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.config.settings import Settings
    from gittrack.git.command import Git
    from gittrack.git.repository import Repository
    from gittrack.runs.annotations import Author
    from gittrack.runs.index import Index
    from gittrack.store.content import Content

LONGEST_COMMAND = 200  # characters of a command line that the log of operations keeps


class Workplace:
    """The repository around the current directory."""

    @cached_property
    def paths(self) -> Paths:
        """Where it lies. Raises NotARepository."""
        try:
            start = os.getcwd()
        except FileNotFoundError as error:
            raise NotARepository("the current directory does not exist any more", "change to one that does") from error
        return discover(start, os.environ)

    @cached_property
    def git(self) -> "Git":
        """The git executable, bound to it."""
        git: Git = lazy("gittrack.git.command").Git(self.paths, os.environ)
        return git

    @cached_property
    def repository(self) -> "Repository":
        """Its objects and refs."""
        repository: Repository = lazy("gittrack.git.open").open_repository(self.paths, os.environ)
        lazy("gittrack.runs.telling").listen(lambda what: lazy("gittrack.cli.progress").fetching(what))
        return repository

    @cached_property
    def index(self) -> "Index":
        """The table of runs; not refreshed."""
        index: Index = lazy("gittrack.runs.index").open_index(self.paths)
        return index

    @cached_property
    def settings(self) -> "Settings":
        """Settings that hold here."""
        settings: Settings = lazy("gittrack.config.settings").load(self.paths, os.environ, self.git_config)
        return settings

    @cached_property
    def contents(self) -> "list[Content]":
        """Where files come from that are not in this clone."""
        found: list[Content] = lazy("gittrack.runs.stores").contents(self.repository, self.settings)
        return found

    @cached_property
    def git_config(self) -> dict[str, str]:
        """git's own configuration."""
        found: dict[str, str] = lazy("gittrack.git.command").config(self.git)
        return found

    @cached_property
    def author(self) -> "Author":
        """Who changes something, when, and by which command line."""
        who = lazy("gittrack.config.user").signature(self.git_config, os.environ)
        words = ["git", "track", *sys.argv[1:]]
        command = " ".join(lazy("shlex").join(words).split())
        signed = bool(self.git_config.get("user.signingkey")) and self.settings.sign
        author: Author = lazy("gittrack.runs.annotations").Author(who, time.time(), command[:LONGEST_COMMAND], signed)
        return author

    def close(self) -> None:
        """Close what was opened. May be called twice."""
        for name in ("repository", "index"):
            opened: Any = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


_current: list[Workplace] = []


def here() -> Workplace:
    """The workplace of this call."""
    if not _current:
        _current.append(Workplace())
    return _current[0]


def close() -> None:
    """Close the workplace of this call, if it was ever asked for."""
    while _current:
        _current.pop().close()


def colour(stream: TextIO) -> bool:
    """Whether to send colours to `stream`: to terminals, unless NO_COLOR (https://no-color.org) says otherwise."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def output_colour() -> bool:
    """Whether standard output takes colours."""
    return colour(sys.stdout)
