"""When the last cut of a run may be made: docs/format.md §5, as far as it needs no git.

Both who folds what he cuts (`folding`) and who cuts where there is no git (`gittrack.attendant`) use it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection

from gittrack.core import events
from gittrack.runs import live
from gittrack.runs.cutting import Cutter


def admit(directory: str) -> bool:
    """Whether parcels wait to be kept. Who comes to do it is not turned away by the mark of a killed process."""
    waiting = bool(live.parcels(directory))
    if waiting:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, events.CLOSING))
    return waiting


def final_cut(
    cutter: Cutter, now: float, status: str | None, mine: Collection[str], end_console: Callable[[], None]
) -> bool:
    """Make the final cut; False, and nothing is changed, while another process of the run is there or parcels wait.

    `mine` names journals whose lock the caller itself holds. `end_console` completes console.log. The mark comes first:
    a process that joins makes its journal, and then looks for the mark. Raises OSError.
    """
    directory = cutter.directory
    if admit(directory):
        return False
    mark = os.path.join(directory, events.CLOSING)
    with open(mark, "wb"):
        pass
    names = live.process_files(directory)
    others = [name for name in names if name not in mine]
    if live.held(directory, others) or live.parcels(directory):  # handed over, and gone, since the first look
        os.unlink(mark)
        return False
    end_console()
    cutter.started(now)
    cutter.checkpoints(all_of_them=True)
    cutter.final(now, status, names)  # a file that came since is taken back by its process: it sees the mark
    return True
