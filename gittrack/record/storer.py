"""Storers of this clone: a process each, with this gittrack.

Nothing of stores is imported here: this is also used in the training's process.
"""

import subprocess
from collections.abc import Callable, Mapping

from gittrack.git.discover import Paths
from gittrack.record import processes
from gittrack.record.storer_watched import FIRST_PAUSE, LONGEST_PAUSE, Watched, is_at_work

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Storer", "is_at_work", "later", "start"]


class Storer(Watched):
    """The storer of a run of this clone."""

    def __init__(self, paths: Paths, directory: str, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, lambda stdin: start(paths, directory, stdin, environ))


def start(
    paths: Paths, directory: str, stdin: int = subprocess.DEVNULL, environ: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes] | None":
    """Start a storer; None where that is impossible.

    Without a `stdin` it is on its own: it keeps what waits and closes the run if that is dead.
    """
    return processes.start("storing", [directory], paths, stdin, environ=environ)


def later(paths: Paths) -> Callable[[str], None]:
    """What `folding.fold_dead` calls for a dead run with files that wait: a storer that nobody waits for."""

    def keep(directory: str) -> None:
        if not is_at_work(directory):
            process = start(paths, directory)
            if process is not None:
                process.returncode = 0  # not waited for

    return keep
