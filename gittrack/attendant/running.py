"""The run of a job: start the command, pass on its output, signals and exit code, and have it recorded.

One process, the first of its container: when it is killed everything is, and what the journal says by then is whole.
Its main thread does what must not wait: output, signals, children that have ended.

What is not needed to start the command is loaded when it runs: the user waits for its first line.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from gittrack.attendant import job as jobs
from gittrack.attendant.job import Job, Place
from gittrack.core.redact import Redactor
from gittrack.lazy import lazy
from gittrack.record import command, reaper, terminal
from gittrack.record.command import End
from gittrack.record.signals import PASSED_ON
from gittrack.record.starter import NAME, Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gittrack.attendant.recording import Recording
    from gittrack.record.pump import Pump

HUNG = 30.0  # seconds: processes that a command left which has failed get that long, then they are ended
MORE = 5.0  # and then so long to do that themselves
_NO_RUN = "; no run was made"  # what a hint says elsewhere
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def run(job: Job, place: Place, environ: Mapping[str, str]) -> int:
    """Execute the job, whose lock the caller holds, and return the exit code. Raises OSError where nothing could be
    started nor recorded."""
    os.chdir(_directory(job, place))
    child_environ = jobs.environ(environ, place, jobs.continued(job))
    redactor = jobs.redactor(job, child_environ)
    starter = begin(job, place, redactor)
    attendant = _Attendant(job, place, starter, redactor, child_environ)
    try:
        file = command.find(job.argv[0], child_environ)
    except command.CannotStart as error:
        hint = _other_python(job.argv[0], child_environ) or error.hint
        return attendant.refused(error.message, hint, error.exit_code)
    return attendant.run(file)


def begin(job: Job, place: Place, redactor: Redactor) -> Starter:
    """Make the journal, with all that is known of the run before its command starts, on the disk: from now on nobody
    starts this job again. Raises OSError."""
    fresh = os.path.join(place.run, NAME + ".new")
    if os.path.exists(fresh):  # whoever made it was killed; we hold the lock
        os.unlink(fresh)
    starter = Starter(place.run)
    start = dict(job.start)
    start["run"] = {"host": os.uname().nodename, **start["run"]}
    starter.event("start", start)
    if job.params:
        starter.event("params", {"source": "command", "values": redactor.mapping(job.params)})
    for text in job.warnings:
        starter.event("warning", {"text": text})
    for path in (os.path.join(place.run, NAME), place.run, place.folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)
    return starter


class _Attendant:
    """The loop around the command."""

    def __init__(self, job: Job, place: Place, starter: Starter, redactor: Redactor, environ: dict[str, str]) -> None:
        self._job = job
        self._place = place
        self._starter = starter
        self._redactor = redactor
        self._environ = environ
        self._known: Recording | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._end: End | None = None
        self._signals: list[int] = []  # that came, in order
        self._stopped = False
        self._ours: set[int] = set()  # processes that are none of the command's
        self._told: set[int] = set()  # the signals by which what the command left was told to end
        if job.metric_files:  # as they were before the command
            self._recording()

    def _recording(self) -> Recording:
        if self._known is None:
            self._known = lazy("gittrack.attendant.recording").Recording(
                self._job, self._place, self._starter, self._redactor, self._begin_storer, self._environ, self._others
            )
        return self._known

    def refused(self, message: str, hint: str, code: int) -> int:
        """The command cannot be started: the run has failed."""
        hint = hint.replace(_NO_RUN, "")
        sys.stderr.write(f"gittrack: {message}\n" + f"hint: {hint}\n" * bool(hint))
        sys.stderr.flush()
        return self._ended_early("failed", message + (f" ({hint})" if hint else ""), code)

    def _ended_early(self, status: str, reason: str, code: int) -> int:
        self._recording().never_begun(status, reason, code if status == "failed" else None)
        return code

    def run(self, file: str) -> int:
        wiring = terminal.connect()
        wake = self._hear_signals()
        if self._is_stopped():  # the engine may stop a container as soon as it is there
            return self._ended_early("killed", "it was stopped before it began", 128 + signal.SIGTERM)
        environ = command.environment(
            self._environ, self._job.id, self._place.run, self._job.autolog, self._job.artifacts, self._place.recorder
        )
        if not self._job.autolog:  # what it is also for: `import gittrack` finds it nowhere else in a container
            paths = [self._place.recorder, *filter(None, [environ.get("PYTHONPATH")])]
            environ["PYTHONPATH"] = os.pathsep.join(paths)
        self._starter.lend()
        try:
            self._child = command.start(file, self._job.argv, wiring.out, wiring.err, environ, session=True)
        except OSError as error:
            return self.refused(f"{self._job.argv[0]} cannot be run: {error.strerror}", "", command.NOT_EXECUTABLE)
        for descriptor in {wiring.out, wiring.err}:
            os.close(descriptor)
        self._pass_on()  # what came before there was anybody to send it to
        try:
            self._follow(wake, wiring)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the training
            sys.stderr.write(f"gittrack: recording failed, the command goes on: {type(error).__name__}: {error}\n")
            self._outlive(wiring)
        assert self._end is not None
        return 128 + self._end.signal if self._end.signal is not None else self._end.code or 0

    def _follow(self, wake: int, wiring: terminal.Wiring) -> None:
        """Record until all is over."""
        console = lazy("gittrack.record.console").Console(self._place.run, self._redactor.stream())
        pump: Pump = lazy("gittrack.record.pump").Pump(wiring.sources, console, in_front=True)
        recording = self._recording()
        recording.begin(self._wake_up)
        while self._end is None:
            self._turn(wake, pump)
        recording.ended(self._end, self._is_stopped())
        pump.drain()
        ended = time.monotonic()
        while not recording.is_over:
            late = time.monotonic() - ended - HUNG if self._end.status != "completed" else 0.0
            if late > 0 and (pump.readers or not recording.is_busy()):
                self._end_rest(signal.SIGTERM if late < MORE else signal.SIGKILL)
            self._see_to_console(pump, late > 2 * MORE)
            self._turn(wake, pump, 1.0)
        pump.finish()
        if not recording.closed:
            sys.stderr.write(f"gittrack: the run is not closed yet: {recording.error}\n")

    def _outlive(self, wiring: terminal.Wiring) -> None:
        """Pass on the output, and nothing else, until the command has ended: what the journal says by then is closed
        later."""
        targets = {source.reader: source.target for source in wiring.sources}
        while self._end is None or targets:
            ready = select.select([*targets], [], [], 0.2)[0]
            for reader in ready:
                try:
                    data = os.read(reader, 65536)
                    os.write(targets[reader], data)
                except OSError:
                    data = b""
                if not data:
                    del targets[reader]
            self._reap()
            if self._end is not None and not ready:
                return

    def _turn(self, wake: int, pump: Pump, seconds: float | None = None) -> None:
        """Wait until something happens, and see to it."""
        wait = lazy("gittrack.record.pump").wait
        for reader in wait([wake, *pump.readers], None if seconds is None else int(seconds * 1000)):
            if reader == wake:
                os.read(wake, 4096)
            else:
                pump.take(reader)
        for source in pump.broken:
            pump.close(source)
        self._reap()

    def _see_to_console(self, pump: Pump, give_up: bool) -> None:
        """Tell the recording when all of the output is there: nobody has it open any more, or nobody is waited for."""
        recording = self._recording()
        if recording.has_console or (pump.readers and not give_up):
            return
        pump.finish()
        if pump.failed is not None:
            recording.warn(f"the console was not recorded to its end: {pump.failed.strerror}")
        recording.has_console = True
        recording.poke()

    def _end_rest(self, number: int) -> None:
        """The command has failed, and processes of it hang that would go on to hold the machine: end them."""
        if self._child is None or number in self._told:
            return
        if not self._told:
            self._recording().warn("processes that the command left behind were ended")
        self._told.add(number)
        if os.getpid() == 1:
            _send(os.kill, -1, number)  # all that is in this container
        else:
            _send(os.killpg, self._child.pid, number)

    def _is_stopped(self) -> bool:
        return self._stopped or self._place.is_stopped

    def _reap(self) -> None:
        """Take in all children that have ended: as the first process of a container we get everybody's."""
        gone = reaper.reap()
        for pid, status in gone.items():
            if self._child is not None and pid == self._child.pid:
                self._child.returncode = status  # subprocess shall not wait for it
                self._end = command.end_of(status)
                self._pass_on_to_rest()
        if gone and self._known is not None and self._end is not None:
            self._known.poke()  # it may have been the last one

    def _hear_signals(self) -> int:
        """A descriptor that becomes readable when a signal has come: a child has ended, or one to be passed on."""
        reader, self._poke = os.pipe()
        os.set_blocking(self._poke, False)
        signal.set_wakeup_fd(self._poke, warn_on_full_buffer=False)
        for number in PASSED_ON:
            signal.signal(number, self._take)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)  # those that came while we were loaded come now
        return reader

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):  # there is something to wake up for already
            os.write(self._poke, b".")

    def _take(self, number: int, _frame: object) -> None:
        """A signal is passed on at once: this also runs while the main thread waits in a write."""
        self._signals.append(number)
        self._stopped = self._stopped or number in _STOPPING
        self._pass_on()

    def _pass_on(self) -> None:
        """To the command alone: it decides what its own processes are told, and when. (Workers that load data must not
        die before the training has saved its last checkpoint.)"""
        while self._child is not None and self._signals:
            number = self._signals.pop(0)
            if self._end is None:
                _send(os.kill, self._child.pid, number)
            else:
                _send(os.killpg, self._child.pid, number)

    def _pass_on_to_rest(self) -> None:
        """The command is gone, a shell maybe that passes nothing on: what it left is told now."""
        if self._stopped and self._child is not None:
            _send(os.killpg, self._child.pid, signal.SIGTERM)

    def _begin_storer(self, stdin: int) -> subprocess.Popen[bytes] | None:
        """Start the process that keeps files."""
        argv = [sys.executable, "-I", "-S", self._place.recorder, "store", self._place.folder]
        try:
            process = subprocess.Popen(
                argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", env={},
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            return None
        self._ours.add(process.pid)
        return process

    def _others(self) -> list[str]:
        """What goes on of what the command has started, by name."""
        return list(lazy("gittrack.attendant.usage").going(os.getpid(), self._ours))


def _send(kill: Callable[[int, int], None], pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        kill(pid, number)


def _other_python(name: str, environ: Mapping[str, str]) -> str:
    """What to say where an image calls its Python by another name than the command does; else empty."""
    if not name.startswith("python") or "/" in name:
        return ""
    there = []
    for each in ("python3", "python", f"python3.{sys.version_info[1]}"):
        with contextlib.suppress(command.CannotStart):
            command.find(each, environ)
            there.append(each)
    own = os.path.realpath(sys.executable)
    return f"in this image it is called {there[0]}" if there else f"in this image it is {own}, which is not on PATH"


def _directory(job: Job, place: Place) -> str:
    """Where the command runs; a folder that nothing is committed in did not travel. Raises OSError."""
    found = os.path.join(place.work, job.cwd)
    os.makedirs(found, exist_ok=True)
    os.makedirs(os.path.join(place.folder, jobs.HOME), exist_ok=True)
    return found
