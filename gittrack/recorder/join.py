"""Joining the run that this process was started under: one ActiveRun per process, however often `init` is called."""

from __future__ import annotations

import os

from .active import ActiveRun, current
from .opening import RUN_DIR, RUN_ID, open_journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def join(
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    tags: tuple[str, ...] = (),
    experiment: str | None = None,
    quiet: bool = False,
    continues: Callable[[], tuple[str, Mapping[str, Any]]] | None = None,
) -> ActiveRun | None:
    """The run named by the environment, or None when none is named or it is over: then the caller starts its own.

    In one process the same run is returned each time, with `params` added to it. A run that this very process began is
    not joined: what a second `init` means there is for the caller to decide. `continues` is asked which run the code
    itself wants to go on from (for `resume_checkpoint`, and as a fact); the command line wins.
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
    origin: Mapping[str, Any] = {}
    if continues is not None and run.continues is None:
        run.continues, origin = continues()
    if name or tags or experiment or origin:
        run.describe(name=name, tags=[*tags], experiment=experiment, continues=origin)
    return run
