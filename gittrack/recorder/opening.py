"""Which run the environment names, and whether it can still be written to.

Environments outlive runs: a tmux server, a notebook or a cluster's daemon that was started inside a run hands its
variables on for months. So a run is joined only while it is open.
"""

from __future__ import annotations

import os

from . import files
from .complain import say
from .journal import Journal, shared
from .variables import ARTIFACTS, RUN_DIR, RUN_ID

__all__ = ["ARTIFACTS", "RUN_DIR", "RUN_ID", "is_open", "open_journal"]


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
