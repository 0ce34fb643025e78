"""Keeping the files of runs that have died, in the foreground: `git track recover`."""

import os
import threading
import time
from collections.abc import Mapping

from gittrack import errors
from gittrack.git.discover import Paths
from gittrack.record import storer, storing, waiting
from gittrack.recorder import files
from gittrack.runs import live

LOOK_EVERY = 0.1


class Finishing:
    """Keeps what waits while it says how far it is. `failures` tells why it could not, by run; `left`, how much there
    was to keep at the last look, None when nothing was being kept."""

    def __init__(self, paths: Paths, environ: Mapping[str, str], show: waiting.Show) -> None:
        self.failures: dict[str, str] = {}
        self.left: int | None = None
        self._paths = paths
        self._environ = environ
        self._shown = show

    def keep(self, directory: str) -> None:
        """For `folding.fold_dead`: keep all that the run in `directory` has left."""
        try:
            found = storing.opened(self._paths, directory, self._environ)
        except OSError as error:
            self._failed(directory, error)
            return
        if found is None:
            return
        shown = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(directory, shown), daemon=True)
        watcher.start()
        try:
            found.keep_all()
        except files.RunOver:  # closed by somebody else
            pass
        except (errors.GittrackError, OSError) as error:
            found.complain(error)
            self._failed(directory, error)
        finally:
            found.close()
            shown.set()
            watcher.join()
            self._show(None)
        self.left = None

    def await_others(self) -> list[str]:
        """Wait for storers in the background whose runs nobody else keeps open; the runs that they closed."""
        closed = []
        for run_id in live.ids(self._paths):
            directory = live.folder(self._paths, run_id)
            began = time.monotonic()
            shown = False
            while storer.is_at_work(directory) and not self._is_awaited(directory):
                found = waiting.look(directory)
                if found is not None:
                    if found.error:
                        break
                    shown = True
                    self._show(waiting.Drain(found, time.monotonic() - began, 0))
                time.sleep(LOOK_EVERY)
            if shown:
                self._show(None)
                self.left = None
            if shown and not os.path.exists(directory):
                closed.append(run_id)
        return closed

    def _is_awaited(self, directory: str) -> bool:
        """Whether the run is still going on, or the one that began it sees to its end."""
        held = [name for name in live.process_files(directory) if files.is_locked(os.path.join(directory, name))]
        return "run.jsonl" in held or len(held) > 1

    def _show(self, drain: waiting.Drain | None) -> None:
        if drain is not None:
            self.left = drain.waiting.left
        self._shown(drain)

    def _watch(self, directory: str, over: threading.Event) -> None:
        began = time.monotonic()
        while not over.wait(LOOK_EVERY):
            found = waiting.look(directory)
            if found is not None:
                self._show(waiting.Drain(found, time.monotonic() - began, 0))

    def _failed(self, directory: str, error: Exception) -> None:
        hint = getattr(error, "hint", "")
        text = waiting.reason(error)
        self.failures[os.path.basename(directory)] = f"{text} ({hint})" if hint else text
