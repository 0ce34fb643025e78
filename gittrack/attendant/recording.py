"""The recording side of a job: its events, its cuts, its files. In a thread of its own, because flushing may take long
on a busy disk, and the command's output and signals must not wait for it.

It ends with the final cut, or when that cannot be made for long: then the job is closed later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from gittrack import errors
from gittrack.attendant import ending, nvidia_smi, usage
from gittrack.attendant.ending import Ended
from gittrack.attendant.job import Job, Place
from gittrack.core.redact import Redactor
from gittrack.record import declared, machine
from gittrack.record.command import End
from gittrack.record.schedule import LOOK_EVERY, Schedule
from gittrack.record.starter import NAME, Starter
from gittrack.record.storer_watched import Begin, Watched
from gittrack.record.system_metrics import Sampler
from gittrack.recorder import files
from gittrack.runs import closing, live, tail
from gittrack.runs.cutting import Cutter
from gittrack.store import durable as disk

SOON = 0.02
LATECOMERS = 2.0  # seconds in which a background process of a command that has ended may still join the run
GRACE = 0.5  # helpers of a command that has ended (resource trackers, loggers) mostly follow it within that
LOOK_AGAIN = 0.5
PATIENCE = 300.0  # with a full disk
HOPELESS = 5.0  # with a record that the command has removed
_SPOILED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
SHOWN = 5  # names of processes


class Recording:
    """One job being recorded. What fails is tried again, and said in `error`."""

    def __init__(
        self,
        job: Job,
        place: Place,
        starter: Starter,
        redactor: Redactor,
        begin_storer: Begin,
        environ: Mapping[str, str],
        others: Callable[[], list[str]],
    ) -> None:
        """`others`: the names of the command's processes that go on."""
        self.error: str | None = None
        self.closed = False  # whether the final cut is made
        self.has_console = False  # set by who drains the output: all of it is recorded
        self._job = job
        self._directory = place.run
        self._starter = starter
        self._redactor = redactor
        self._environ = environ
        self._others = others
        self._told_of_others = False
        self._hopeless = False
        self._cutter = Cutter(place.run, disk.sync)
        self._storer = Watched(place.run, begin_storer)
        self._declared = declared.Watch(place.work, job.metric_files, job.params_files)
        looks = (self._cut, self._storer.look)
        self._schedule = Schedule(self._guard, looks, self._read_declared, starter.metrics)
        self._schedule.sampler = _sampler() if job.system_metrics else None
        self._end: Ended | None = None
        # A container begins with none; and its command may be dead by now, as it is started before we are loaded.
        self._killed_before = 0 if os.getpid() == 1 else usage.out_of_memory()
        self._wake = threading.Event()
        self._over = threading.Event()
        self._sizes: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def begin(self, done: Callable[[], None]) -> None:
        """The command runs: record it until it has ended. `done` is called, in another thread, when that is over."""
        self._thread = threading.Thread(target=self._run, args=(done,), name="gittrack-recording", daemon=True)
        self._thread.start()

    def ended(self, end: End, stopped: bool) -> None:
        """The command has ended; `stopped`: because somebody wanted that."""
        for_memory = usage.out_of_memory() > self._killed_before
        self._end = ending.of(end, stopped, for_memory, self._starter.now())
        self.poke()

    def poke(self) -> None:
        """Something that is waited for has happened."""
        self._wake.set()

    def wait(self) -> None:
        """Until it is over."""
        if self._thread is not None:
            self._thread.join()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def is_busy(self) -> bool:
        """Whether it is us who need more time: files are being kept, or the disk is full."""
        return self.error is not None or bool(live.parcels(self._directory))

    def warn(self, text: str) -> None:
        """Put a warning into the record."""
        self._guard(lambda: self._starter.event("warning", {"text": text}))

    def never_begun(self, status: str, reason: str, code: int | None) -> None:
        """There is no command: make the final cut, here and now."""
        self.has_console = True
        self._settle(Ended(code, None, status, self._redactor.text(reason), self._starter.now()))
        self._guard(self._close)

    def _run(self, done: Callable[[], None]) -> None:
        try:
            self._guard(self._describe)
            while self._end is None:
                self._wake.wait(self._schedule.turn())
                self._wake.clear()
            self._finish(self._end)
        finally:
            self._over.set()
            done()

    def _finish(self, end: Ended) -> None:
        """Keep what the command has left, wait for its other processes, and make the final cut."""
        self._schedule.sampler = None
        self._guard(self._read_declared)
        self._guard(self._miss_declared)
        self._storer.try_again()
        began = good = time.monotonic()
        while os.path.isdir(self._directory):
            now = time.monotonic()
            if self.has_console or now - began > LATECOMERS:
                self._settle(end)
            if now - began > LATECOMERS:
                self._tell_of_others(end, ending.WAITED_FOR)
            self.error = None
            if self.has_console and not (now - began < GRACE and self._others()):
                self._guard(lambda: self._close(end))
            if self.closed:
                return
            self._schedule.turn()
            if not self.error:
                good = now
            elif now - good > (HOPELESS if self._hopeless else PATIENCE):  # no room: who closes the job later finds it
                return
            # Each try looks, for a moment, as if the run were over: to who joins it, too.
            self._wake.wait(LOOK_EVERY if self.error else SOON if now - began < GRACE else LOOK_AGAIN)
            self._wake.clear()
        self.error = f"{self._directory}: its record was removed"

    def _settle(self, end: Ended) -> None:
        """Say how the command ended; no process can join the run after that. May be called twice."""
        if not files.has_ended(self._directory):
            self._guard(lambda: self._starter.event("end", end.fields(), end.at))

    def _tell_of_others(self, end: Ended, what: str) -> None:
        """Once, and not where somebody stops all of it."""
        if self._told_of_others or end.status == "killed":
            return
        if names := self._others():
            self._told_of_others = True
            shown = ", ".join(names[:SHOWN]) + (" and more" if len(names) > SHOWN else "")
            self.warn(what + self._redactor.text(shown))

    def _close(self, end: Ended | None = None) -> None:
        waiting = closing.admit(self._directory)
        self._storer.look()
        self._storer.dismiss()
        if end is not None and not waiting and not self._is_joined():
            self._tell_of_others(end, ending.ENDED)
        if waiting and self._storer.failed:
            raise errors.CannotWrite(f"its files are not all kept: {self._storer.error()}", "they wait where they are")
        self.closed = closing.final_cut(self._cutter, time.time(), "crashed", (NAME,), self._end_console)

    def _is_joined(self) -> bool:
        """Whether another process logs into the run."""
        return live.held(self._directory, [name for name in live.process_files(self._directory) if name != NAME])

    def _end_console(self) -> None:
        if tail.exists(self._directory):  # it could not be written
            tail.close(self._directory, self._redactor.stream())

    def _describe(self) -> None:
        gpus = nvidia_smi.describe() if machine.has_nvidia() else []
        variables = machine.variables(self._environ, self._job.variables)
        limits = {"cpu_limit": usage.cpu_limit(), "memory_limit": usage.memory_limit()}
        given: dict[str, Any] = {**self._job.environment}
        if "container.json" in given:
            given["container.json"] = {**limits, **given["container.json"]}
        given["system.json"] = machine.system(self._redactor.mapping(variables), gpus)
        for name, value in sorted(given.items()):
            self._starter.event("environment", {"name": name, "value": value})

    def _cut(self) -> None:
        sizes = {name: _size(self._directory, name) for name in live.process_files(self._directory)}
        if sizes == self._sizes and not self.error:
            return
        now = time.time()
        self._cutter.started(now)
        self._cutter.checkpoints()
        self._cutter.in_time(now)
        self._sizes, self.error = sizes, None

    def _read_declared(self) -> None:
        for source, values in self._declared.params():
            self._starter.event("params", {"source": source, "values": self._redactor.mapping(values)})
        for step, metrics in self._declared.metrics():
            self._starter.metrics(metrics, step)
        for text in self._declared.warnings():
            self.warn(self._redactor.text(text))

    def _miss_declared(self) -> None:
        self._declared.missing()
        for text in self._declared.warnings():
            self.warn(text)

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except errors.GittrackError as error:
            self.error = f"{error.message} ({error.hint})" if error.hint else error.message
        except OSError as error:
            self.error = f"{error.filename or self._directory}: {error.strerror or error}"
            self._hopeless = error.errno in _SPOILED
            if error.errno == errno.EACCES:  # the command has the same rights, and has taken them away
                _let_in(self._directory)
        except Exception as error:  # noqa: BLE001 - a fault of ours must neither end the training nor hide its exit code
            self.error = f"{type(error).__name__}: {error}"


def _sampler() -> Sampler:
    machine_use = usage.Usage(os.getpid()).sample  # from now on: the first sample tells of the time since
    if not machine.has_nvidia():
        return Sampler(lambda: machine_use)
    return Sampler(lambda: lambda: {**machine_use(), **nvidia_smi.sample()})


def _let_in(directory: str) -> None:
    """Have the rights again that are needed to record."""
    with contextlib.suppress(OSError):
        os.chmod(directory, os.stat(directory).st_mode | 0o700)
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | (0o700 if os.path.isdir(path) else 0o600))


def _size(directory: str, name: str) -> int:
    try:
        return os.stat(os.path.join(directory, name)).st_size
    except OSError:
        return 0
