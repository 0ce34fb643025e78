"""The console of a run that is still going on, as it grows, to its end.

Polled: a file system event would need a library, and a fifth of a second is nothing to who watches a training.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from gittrack.core import events
from gittrack.runs import live

PAUSE = 0.2
PIECE = 64 * 1024
_GOING = (live.OPEN, live.AWAY)


def _nothing() -> None:
    pass


def follow(directory: str, turn: Callable[[], object] = _nothing) -> Iterator[bytes]:
    """The bytes of console.log in the live folder, ending when the run has ended. The folder may vanish meanwhile.

    `turn` is called before each look: of a run that is at a host, it brings what is new there.

    The end of a console that is kept apart while a run prints gigabytes comes when the run closes it.
    """
    path = os.path.join(directory, events.CONSOLE)
    here = live.here()
    while not os.path.exists(path) and live.state(directory, here) in _GOING:
        turn()
        time.sleep(PAUSE)
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:  # readable when the folder is gone, too
        while True:
            going = live.state(directory, here) in _GOING  # asked first: what was written before its end is read
            turn()
            while data := file.read(PIECE):
                yield data
            if not going:
                return
            time.sleep(PAUSE)
