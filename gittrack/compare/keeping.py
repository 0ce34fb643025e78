"""`gittrack.keep_best`: which checkpoints of a run keep their files, said from Python."""

import os
import shlex
import sys
import time
from typing import Any

from gittrack.config import environment
from gittrack.config.user import signature
from gittrack.git.discover import discover
from gittrack.lazy import lazy
from gittrack.runs import pruning
from gittrack.runs.annotations import Author
from gittrack.runs.index import open_index


def keep_best(run: Any, n: int = 3, metric: str | None = None, goal: str | None = None, repo: str = ".") -> int:
    """Let go of the files of all checkpoints but the `n` best ones and the latest; see `gittrack.keep_best`."""
    if n < 0:
        raise ValueError(f"n is a number of checkpoints, not {n}")
    environ = environment.current()
    paths = discover(_place(run, repo), environ)
    repository = lazy("gittrack.git.open").open_repository(paths, environ)
    index = open_index(paths)
    try:
        index.refresh(lambda: repository)
        run_id = getattr(run, "id", None) or _found(index, str(run))
        return pruning.keep_best(repository, run_id, n, pruning.Choice(metric, goal), _author(repository, environ))
    finally:
        index.close()
        repository.close()


def _place(run: Any, repo: str) -> str:
    """A directory of the repository that has the run: a live one knows its own."""
    place = getattr(getattr(run, "_place", None), "paths", None)
    directory = getattr(run, "dir", None)
    if place is not None:
        return str(place.worktree or place.common_dir)
    return os.path.dirname(os.path.dirname(os.path.dirname(directory))) if isinstance(directory, str) else repo


def _found(index: Any, text: str) -> str:
    target = lazy("gittrack.runs.selectors").resolve_all(index, [text], time.time(), goals={}, deleted=True)[0]
    return str(target.id)


def _author(repository: Any, environ: Any) -> Author:
    config = lazy("gittrack.git.command").config(repository.git)
    command = f"gittrack.keep_best in {shlex.join(sys.argv[:1]) or 'python'}"
    return Author(signature(config, environ), time.time(), command[:200])
