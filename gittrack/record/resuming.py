"""Runs that go on where another one stopped, or start from one: which is meant, and what the new one is told."""

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from gittrack.config import environment, settings
from gittrack.core.layout import SHORT
from gittrack.git.command import Git, config
from gittrack.git.discover import Paths, discover
from gittrack.git.open import open_repository
from gittrack.runs import index, origins, reader, selectors


class Origin(NamedTuple):
    """The run that is continued or started from, and from which step (None: it has no checkpoint)."""

    run: str
    step: int | None
    is_chosen: bool  # the step was asked for; else it is the last checkpoint's

    def facts(self) -> dict[str, object]:
        """What run.json says as `continues`."""
        return {"run": self.run, "step": self.step}

    def said(self) -> dict[str, object]:
        """What run.json says as `origin`, where the user has named this run as such."""
        return {"run": self.run, "step": self.step if self.is_chosen else None, "how": origins.SAID}

    def text(self) -> str:
        """For the environment of the command."""
        return f"{self.run}@{self.step}" if self.is_chosen else self.run

    def note(self) -> str | None:
        """What the user should know before hours go by."""
        return f"run {self.run[:SHORT]} has no checkpoint; starting afresh" if self.step is None else None


def find_here(text: str) -> Origin:
    """As `find`, from where a training stands."""
    environ = environment.current()
    return find(discover(os.getcwd(), environ), environ, text)


def find(paths: Paths, environ: Mapping[str, str], text: str) -> Origin:
    """The run that `text` selects, `RUN@STEP` included.

    Raises AmbiguousSelector, RunNotFound (also where it has no checkpoint at that step), UsageError.
    """
    table = index.open_index(paths)
    try:
        table.refresh(lambda: open_repository(paths, environ))
        goals = settings.load(paths, environ, config(Git(paths, environ))).goals
        target = selectors.resolve(table, text, time.time(), goals=goals)
        if target.step is not None:
            repo = open_repository(paths, environ)
            reader.checkpoint(repo, reader.read(repo, target.id), target.step)
            repo.close()
    finally:
        table.close()
    step = (target.row.latest_checkpoint or {}).get("step") if target.step is None else target.step
    return Origin(target.id, step, target.step is not None)
