"""The keeper: parent of the command, writer of its record, in a process that the user's terminal does not reach.

It is forked from the front process before the snapshot is taken, so that it loads what it needs meanwhile. When the
front process is killed it drains the command's output in its place; when the keeper is killed the front process goes on
with `keep` in its own. Either way the command notices nothing.
"""

import os
import signal
import time
from collections.abc import Callable

from gittrack.lazy import lazy
from gittrack.record import command, signals, terminal
from gittrack.record.command import End
from gittrack.record.job import Job, Site
from gittrack.record.messages import Line
from gittrack.record.pump import Pump, wait
from gittrack.record.recording import Recording
from gittrack.record.terminal import Source

GRACE = 0.3  # seconds: helpers of a command that has ended (resource trackers, loggers) mostly follow it within that
LATECOMERS = 2.0  # seconds in which a background process of a command that has ended may still join the run
LOOK_AGAIN = 0.5
LONGEST_PAUSE = 300.0

LOADED_EARLY = ("gittrack.git.cli_backend", "gittrack.record.environment")

MakePump = Callable[[tuple[Source, ...]], Pump]


def run(site: Site, line: Line, make_pump: MakePump) -> None:
    """The keeper's life. Does not return."""
    try:
        signals.survive(signals.ours())
        wake = _watch_children()
        line.keep(1)
        for module in LOADED_EARLY:
            lazy(module)
        messages = line.receive()
        if messages:
            _start(site, line, Job(*messages[0]["job"]), wake, make_pump)
    finally:  # whatever happens here, the copy of the front process's stack above us must not run
        os._exit(0)


def _start(site: Site, line: Line, job: Job, wake: int, make_pump: MakePump) -> None:
    recording = Recording(site.paths, site.directory, site.starter, job, site.command.environ)
    environ = command.environment(site.command.environ, job.run_id, site.directory, job.autolog, job.artifacts)
    site.starter.lend()
    try:
        child = command.start(site.command.file, site.command.argv, site.wiring.out, site.wiring.err, environ)
    except OSError as error:
        line.send("refused", error=error.strerror)
        return
    line.send("started", pid=child.pid)
    os.setsid()  # from here on the terminal's signals are the command's and the front process's affair
    for descriptor in {site.wiring.out, site.wiring.err}:
        os.close(descriptor)
    recording.begin(child.pid)
    keeper = Keeper(site.wiring.sources, recording, child.pid, make_pump, line, wake)
    keeper.watch()
    closed = keeper.close(GRACE, keeper.is_awaited)
    keeper.dismiss(closed)
    if not closed:
        keeper.outlast()
    recording.tidy()


class Keeper:
    """The loop around one command, from its start to the last fold."""

    def __init__(
        self,
        sources: tuple[Source, ...],
        recording: Recording,
        pid: int,
        make_pump: MakePump,
        line: Line | None = None,
        wake: int | None = None,
    ) -> None:
        self.end = End(None, None)
        self._recording = recording
        self._pid = pid
        self._sources = sources
        self._make_pump = make_pump
        self._line = line  # to the front process; None when there is none (any more)
        self._wake = wake
        self._pump: Pump | None = None if line else make_pump(sources)
        self._drained = False
        self._left = False  # whether the user does not want to wait for files
        self._writers = True  # whether some process still has the command's stdout or stderr open

    def watch(self, end: End | None = None) -> None:
        """Record until the command has ended (`end`: it has) and its output is drained."""
        self.end = end or self._outlive()
        self._recording.ended(self.end)
        if self._line is not None:
            self._line.send("ended", code=self.end.code, signal=self.end.signal)
        while self._line is not None and not self._drained:
            self._wait(self._recording.look())
        if self._pump is not None:
            self._pump.drain()

    def close(self, grace: float, patient: Callable[[], bool]) -> bool:
        """Make the last cut and fold it, if within `grace` seconds nobody of the run is left.

        Files that the command has handed over are waited for as long as it takes and `patient` says so.
        """
        deadline = time.monotonic() + grace
        self._recording.owe()
        while not self._try_close():
            if self._recording.is_keeping() and patient():
                deadline = time.monotonic() + grace
            elif time.monotonic() > deadline or (self._recording.error and not self._writers):
                return False
            self._wait(0.02)
        return True

    def is_awaited(self) -> bool:
        """Whether somebody waits at the terminal, and wants to."""
        return self._line is not None and not self._left

    def dismiss(self, closed: bool) -> None:
        """Tell the front process that it may go, and hold up nobody who waits for the end of the output."""
        if self._line is not None:
            final = self._recording.final() if closed else None
            self._line.send("done", final=final and list(final), error=self._recording.error)
        while self._line is not None and not closed:  # it drains until it is gone
            self._wait(60)
        if self._pump is not None:
            self._pump.mute_streams(descriptor for descriptor in (1, 2) if terminal.is_stream(descriptor))
        _let_go_of_streams(everything=closed)

    def outlast(self) -> None:
        """Wait for the processes that are still there, or for room on the disk, and close then."""
        deadline = time.monotonic() + LATECOMERS
        pause = LOOK_AGAIN
        while not self._try_close():
            if not os.path.isdir(self._recording.directory):  # the repository was deleted
                return
            if time.monotonic() > deadline:
                self._recording.settle()
            self._recording.look()
            if self._recording.error and not self._writers:
                pause *= 2
                if pause > LONGEST_PAUSE:  # the next command closes it
                    return
            self._wait(pause)

    def _outlive(self) -> End:
        while (status := self._status()) is None:
            self._wait(self._recording.look())
        return command.end_of(status) if status >= 0 else End(None, None)

    def _status(self) -> int | None:
        """The command's wait status once it has ended; -1 when nobody can know it."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # not our child: the keeper was killed on a system without sub-reapers
            return None if _exists(self._pid) else -1
        return status if pid else None

    def _wait(self, seconds: float) -> None:
        """Until something happens, or for so long."""
        readers = [] if self._wake is None else [self._wake]
        if self._line is not None:
            readers.append(self._line.reader)
        if self._pump is not None:
            readers += self._pump.readers
        if self._wake is None:
            seconds = min(seconds, 0.1)  # no signal tells the front process that the command has ended
        for reader in wait(readers, int(seconds * 1000) + 1):
            if reader == self._wake:
                os.read(reader, 4096)
            elif self._line is not None and reader == self._line.reader:
                self._hear(self._line)
            elif self._pump is not None:
                self._pump.take(reader)

    def _hear(self, line: Line) -> None:
        """What the front process says, its end included."""
        messages = line.receive()
        if messages is None:
            line.close()
            self._line = None
            self._pump = self._make_pump(self._sources)
            return
        for message in messages:
            if message["kind"] == "leave":
                self._left = True
            elif message["kind"] == "broken":
                self._break(message["reader"])
            elif message["kind"] == "drained":
                self._drained, self._writers = True, message["writers"]
                if message["failed"]:
                    self._recording.warn(message["failed"])

    def _break(self, reader: int) -> None:
        """Whoever read the user's stream has gone: so must we, for the command to notice."""
        self._sources = tuple(source for source in self._sources if source.reader != reader)
        os.close(reader)

    def _try_close(self) -> bool:
        if self._pump is not None:
            self._writers = bool(self._pump.readers)
            if not self._writers:
                self._pump.finish()
        if self._writers:
            return False
        self._recording.settle()
        return self._recording.close()


def _watch_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signals.survive([signal.SIGCHLD])
    return reader


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _let_go_of_streams(everything: bool) -> None:
    """Give up the user's descriptors: a pipe's reader waits for its end, a terminal's for nothing."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in (0, 1, 2):
        if everything or descriptor == 0 or terminal.is_stream(descriptor):
            os.dup2(null, descriptor)
    os.close(null)
