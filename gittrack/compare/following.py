"""The console of a run that is still going on, as it grows, to its end.

Polled: a file system event would need a library, and a fifth of a second is nothing to who watches a training.
"""

import contextlib
import os
import time
from collections.abc import Iterator

from gittrack.core import events
from gittrack.runs import live

PAUSE = 0.2
PIECE = 64 * 1024


def follow(directory: str) -> Iterator[bytes]:
    """The bytes of console.log in the live folder, ending when the run has ended. The folder may vanish meanwhile.

    The end of a console that is kept apart while a run prints gigabytes comes when the run closes it.
    """
    path = os.path.join(directory, events.CONSOLE)
    here = live.here()
    while not os.path.exists(path) and live.state(directory, here) == live.OPEN:
        time.sleep(PAUSE)
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:  # readable when the folder is gone, too
        while True:
            going = live.state(directory, here) == live.OPEN  # asked first: what was written before its end is read
            while data := file.read(PIECE):
                yield data
            if not going:
                return
            time.sleep(PAUSE)
