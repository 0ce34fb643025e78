"""Joining the run that this process was started under.

The environment names it, but environments outlive runs: a tmux server, a notebook or a cluster's daemon that was
started inside a run hands its variables on for months. So a run is joined only while it is open.
"""

from __future__ import annotations

import os

from . import files
from .active import RUN_DIR, RUN_ID, ActiveRun, current
from .complain import say
from .journal import Journal, shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def join(
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    tags: tuple[str, ...] = (),
    experiment: str | None = None,
    quiet: bool = False,
) -> ActiveRun | None:
    """The run named by the environment, or None when none is named or it is over: then the caller starts its own.

    In one process the same run is returned each time, with `params` added to it. A run that this very process began is
    not joined: what a second `init` means there is for the caller to decide.
    """
    run = current()
    if run is not None and run.dir == os.environ.get(RUN_DIR, run.dir):
        if run.is_own():
            return None
        if params:
            run.params.update(params)
    else:
        journal = open_journal(quiet)
        if journal is None:
            return None
        run = ActiveRun(journal, os.environ.get(RUN_ID) or os.path.basename(journal.dir), joined=True, params=params)
    if name or tags or experiment:
        run.describe(name=name, tags=[*tags], experiment=experiment)
    return run


def open_journal(quiet: bool = False) -> Journal | None:
    """This process's journal in the run of the environment, its file made and locked; None when no run is open."""
    run_dir = os.environ.get(RUN_DIR)
    if not run_dir:
        return None
    if is_open(run_dir):
        journal = shared(run_dir)
        try:
            journal.open()
            return journal
        except (files.RunOver, OSError):
            journal.close()
    if not quiet:
        named = os.environ.get(RUN_ID) or os.path.basename(run_dir)
        say(f"the run {named[:7]} that this shell was started under is over, or its folder is not writable: not joined")
    return None


def is_open(run_dir: str) -> bool:
    """Whether the run has not ended and one of its processes lives."""
    return not files.has_ended(run_dir) and not files.is_over(run_dir) and files.is_alive(run_dir)
