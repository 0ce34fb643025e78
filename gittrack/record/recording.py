"""The recording side of one command: its events, its cuts, its last fold. The keeper's work, or the front's when the
keeper is gone; whoever does it, the journal says all, so either can go on where the other stood.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping

from gittrack import errors
from gittrack.git import maintenance
from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.record import declared, environment, surroundings, uploads
from gittrack.record.command import End
from gittrack.record.job import Final, Job
from gittrack.record.schedule import Schedule
from gittrack.record.signals import name_of
from gittrack.record.starter import NAME, Starter
from gittrack.record.storer import Storer, later
from gittrack.record.system_metrics import Read, Sampler
from gittrack.recorder import files
from gittrack.runs import folding, live, tail

SHARED = (
    "another run went on in this clone meanwhile: if it wrote the same metric files, its values stand here too; "
    "give runs that go on at once a work tree each (`git worktree add`), or log with gittrack.init()"
)


class Recording:
    """One run being recorded. Its methods do not raise: what fails is tried again, and said in `error`."""

    def __init__(
        self,
        paths: Paths,
        directory: str,
        starter: Starter,
        job: Job,
        environ: Mapping[str, str],
        since: float | None = None,
    ) -> None:
        self.error: str | None = None
        self.directory = directory
        self.job = job
        self._paths = paths
        self._environ = environ
        self._starter = starter
        self._repo: Repository | None = None
        self._folder: folding.Folder | None = None
        root = paths.worktree or os.getcwd()
        self._declared = declared.Watch(root, job.metric_files, job.params_files, since)
        self._end: tuple[End, tuple[float, float]] | None = None
        self._storer = Storer(paths, directory, environ)
        looks = (self._advance, self._storer.look)
        self._schedule = Schedule(self._guard, looks, self._read_declared, starter.metrics)
        self._owed: set[str] = set()  # parcels that waited when the command had ended
        self._sizes: dict[str, int] = {}
        self._advances = 0
        self._shared = False

    def begin(self, pid: int) -> None:
        """The command runs: say where."""
        self._guard(self._describe)
        if self.job.system_metrics:
            self._schedule.sampler = Sampler(lambda: usage_of(pid))

    def look(self) -> float:
        """Do what is due; seconds until something is due again."""
        return self._schedule.turn()

    def ended(self, end: End) -> None:
        """The command has ended."""
        self._schedule.sampler = None
        self._end = (end, self._starter.now())
        self._guard(self._read_declared)
        self._guard(self._miss_declared)

    def settle(self) -> None:
        """Put into the record how the command ended; no process can join the run after that. May be called twice."""
        if self._end is None:
            return
        (end, at), self._end = self._end, None
        if end.is_known and not files.has_ended(self.directory):
            name = name_of(end.signal) if end.signal is not None else None
            fields = {"code": end.code, "reason": None, "signal": name, "status": end.status}
            self._guard(lambda: self._starter.event("end", fields, at))

    def owe(self) -> None:
        """The command has ended: what waits to be kept now belongs to what is waited for."""
        self._owed = set(live.parcels(self.directory))
        self._storer.try_again()

    def is_keeping(self) -> bool:
        """Whether files of the command are being kept, as far as that can succeed."""
        self._guard(self._storer.look)
        if self._storer.failed:
            return False
        return not self._owed.isdisjoint(live.parcels(self.directory)) or self._storer.is_leaving()

    def warn(self, text: str) -> None:
        """Put a warning into the record."""
        self._guard(lambda: self._starter.event("warning", {"text": text}))

    def close(self) -> bool:
        """Make the last cut and fold it. False while other processes of the run are alive, or when it failed."""
        done: list[bool] = []
        self.error = None
        self._guard(lambda: done.append(self._finish()))
        return done == [True]

    def final(self) -> Final | None:
        """What the closed record says."""
        found: list[Final] = []
        self._guard(lambda: found.append(self._read_final()))
        return found[0] if found else None

    def tidy(self) -> None:
        """What nobody waits for: fold other runs that are dead, upload what they have left, archive old ones,
        push, and git's housekeeping that our objects call for."""
        self._guard(lambda: folding.fold_dead(self._repository(), time.time(), keep=later(self._paths)))
        self._guard(lambda: uploads.resume(self._paths))
        self._guard(lambda: lazy("gittrack.record.archiver").begin(self._repository()))
        self._guard(lambda: lazy("gittrack.record.pusher").begin(self._repository()))
        self._guard(lambda: maintenance.tidy(Git(self._paths, self._environ)))

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except errors.GittrackError as error:
            self.error = f"{error.message} ({error.hint})" if error.hint else error.message
        except OSError as error:
            self.error = f"{error.filename or self.directory}: {error.strerror or error}"
        except Exception as error:  # noqa: BLE001 - a fault of ours must neither end the training nor hide its exit code
            self.error = f"{type(error).__name__}: {error}"

    def _describe(self) -> None:
        git = Git(self._paths, self._environ)
        for name, value in environment.describe(git, self.job.git_config, self.job.variables):
            self._starter.event("environment", {"name": name, "value": value})

    def _repository(self) -> Repository:
        if self._repo is None:
            # What is to be done here is little, and importing pygit2 costs more than all of it.
            self._repo = open_repository(self._paths, self._environ, "cli")
        return self._repo

    def _fold(self) -> folding.Folder | None:
        if self._folder is None:
            self._folder = folding.Folder.open(self._repository(), self.directory)
        return self._folder

    def _advance(self) -> None:
        sizes = {name: _size(self.directory, name) for name in live.process_files(self.directory)}
        folder = self._fold()
        if folder is not None and (sizes != self._sizes or self.error):
            folder.advance(time.time())
            self._sizes, self.error = sizes, None
            self._advances += 1
            if self._advances % folding.TIDY_EVERY == 0:
                maintenance.tidy(Git(self._paths, self._environ))

    def _read_declared(self) -> None:
        for source, values in self._declared.params():
            clean = surroundings.redactor(self._paths, self._environ).mapping(values)
            self._starter.event("params", {"source": source, "values": clean})
        for step, metrics in self._declared.metrics():
            self._starter.metrics(metrics, step)
            if not self._shared and self._has_company():
                self._shared = True
                self.warn(SHARED)
        for text in self._declared.warnings():
            self.warn(text)

    def _has_company(self) -> bool:
        """Whether another run of this clone goes on: its command may write the same declared files."""
        here = live.here()
        others = [live.folder(self._paths, run_id) for run_id in live.ids(self._paths)]
        return any(live.state(other, here) == live.OPEN for other in others if other != self.directory)

    def _miss_declared(self) -> None:
        self._declared.missing()
        for text in self._declared.warnings():
            self.warn(text)

    def _finish(self) -> bool:
        folder = self._fold()
        if folder is not None:
            folder.admit()
        self._storer.look()
        self._storer.dismiss()
        if self._storer.failed and live.parcels(self.directory):
            raise errors.CannotWrite(f"its files are not all kept: {self._storer.error()}", "they wait where they are")
        if live.held(self.directory, [name for name in live.process_files(self.directory) if name != NAME]):
            return False
        if folder is None:
            raise errors.RefConflict("another process is folding this run", "it will be complete when that has ended")
        if tail.exists(self.directory):  # whoever recorded the console was killed, or could not write
            tail.close(self.directory, surroundings.stream_redactor(self._paths, self._environ))
        if not folder.finish(time.time(), "crashed", mine=(NAME,)):
            return False
        folder.close()
        self._starter.close()
        return True

    def _read_final(self) -> Final:
        assert self._folder is not None
        status, summary = self._folder.documents()
        return Final(
            status["status"],
            status["duration"],
            summary["metrics"],
            summary["primary"],
            list(status["warnings"]),
            summary.get("artifacts"),
        )


def usage_of(pid: int) -> Read:
    """What takes samples of this machine and of a process with its descendants."""
    machine: Read = lazy("gittrack.record.usage").Usage(pid).sample
    if not environment.has_nvidia():
        return machine
    gpus: Read = lazy("gittrack.record.nvidia").sample
    return lambda: {**machine(), **gpus()}


def _size(directory: str, name: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(os.path.join(directory, name)).st_size
    return 0
