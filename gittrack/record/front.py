"""The process that the user's shell waits for: it streams the output, passes signals on, and ends as the command ends.

It holds nothing that the record needs: killed at any moment, the keeper goes on without it, and the other way round.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from gittrack import errors
from gittrack.lazy import lazy
from gittrack.record import command, signals, terminal, uploads, waiting
from gittrack.record.command import End
from gittrack.record.console import Console, Redact
from gittrack.record.job import Final, Job, Outcome, Site
from gittrack.record.messages import Line
from gittrack.record.pump import Pump, wait
from gittrack.record.terminal import Source

REAP_EVERY = 1.0
_REFUSED = "check that it is a program of this machine, and its first line (#!) if it is a script; no run was made"

Prepare = Callable[[], Job]


class Front:
    """Runs one command under a keeper."""

    def __init__(self, site: Site) -> None:
        self.redact: Callable[[], Redact] = lambda: _redact_anew(site)  # `prepare` has a better one
        self.show: waiting.Show = lambda _: None  # told how far the files are kept that the command has left
        self._site = site
        self._line = Line()
        self._pid: int | None = None
        self._waiting: list[int] = []  # signals that are to be sent, when the command is there
        self._ended: dict[str, Any] | None = None
        self._done: dict[str, Any] | None = None
        self._drained = False
        self._interrupts = 0  # since the command has ended
        self._shown = self._left = False
        self._reap_at = time.monotonic() + REAP_EVERY
        self._status: int | None = None  # of the command, when it was we who reaped it
        self.may_run = False  # whether a command was started, as far as can be known
        self._began = (time.monotonic(), time.time())

    def run(self, prepare: Prepare) -> Outcome:
        """Start the keeper, prepare (the snapshot) meanwhile, then run the command to its end.

        What `prepare` raises leaves no trace. Raises CannotStart.
        """
        guard = os.fork()
        if guard == 0:
            lazy("gittrack.record.keeper").run(self._site, self._line, self._pump)
        self._line.keep(0)
        for descriptor in {self._site.wiring.out, self._site.wiring.err}:
            os.close(descriptor)
        try:
            job = prepare()
        except BaseException:  # whatever it was: the keeper must not wait for ever
            self._line.close()
            os.waitpid(guard, 0)
            raise
        return self._command(job)

    def _command(self, job: Job) -> Outcome:
        signals.Forwarder(self._signal, lambda: terminal.copy_size(self._site.wiring), self._note).start()
        self._began = (time.monotonic(), time.time())
        lazy("gittrack.record.reaper").adopt_orphans()
        self.may_run = True
        self._line.send("start", job=list(job))
        pump = self._pump(self._site.wiring.sources, in_front=True)
        while self._done is None:
            if not self._step(pump):
                return self._take_over(pump, job)
        pump.finish()
        final = self._done["final"]
        if final:
            self._wait_for_upload()
        self._unshow()
        return self._outcome(Final(*final) if final else None, self._done["error"])

    def _step(self, pump: Pump) -> bool:
        """Wait for one thing to happen. False: the keeper is gone."""
        patience = waiting.EVERY if self._ended else REAP_EVERY
        ready = wait([self._line.reader, *pump.readers], int(patience * 1000))
        if not self._wait_for_files() and not self._left:
            self._left = self._line.send("leave")
        if time.monotonic() > self._reap_at:
            self._status = lazy("gittrack.record.reaper").reap().get(self._pid, self._status)
            self._reap_at = time.monotonic() + REAP_EVERY
        for reader in ready:
            if reader != self._line.reader:
                pump.take(reader)
        for source in pump.broken:
            self._line.send("broken", reader=source.reader)
        pump.broken.clear()
        if self._line.reader in ready:
            messages = self._line.receive()
            if messages is None:
                return False
            for message in messages:
                self._hear(message, pump)
        if self._ended and not self._drained and not pump.readers:
            self._say_drained(pump)
        return True

    def _hear(self, message: dict[str, Any], pump: Pump) -> None:
        kind = message["kind"]
        if kind == "started":
            self._pid = message["pid"]
            self._send_waiting()
        elif kind == "refused":
            self.may_run = False
            name, error = self._site.command.argv[0], message["error"]
            raise command.CannotStart(f"{name} cannot be run: {error}", _REFUSED, command.NOT_EXECUTABLE)
        elif kind == "ended":
            self._ended = {**message, "at": time.monotonic()}
            pump.drain()
            self._say_drained(pump)
        elif kind == "done":
            self._done = message

    def _say_drained(self, pump: Pump) -> None:
        """Tell the keeper how far the console is recorded. Said again when the last writer has gone."""
        self._drained = not pump.readers
        if self._drained:
            pump.finish()
        failed = f"the console was not recorded to its end: {pump.failed.strerror}" if pump.failed else None
        self._line.send("drained", writers=bool(pump.readers), failed=failed)

    def _wait_for_files(self) -> bool:
        """Show how far the files are kept that the command has left. False when nobody wants to wait any more."""
        if self._ended is not None:
            found = waiting.look(self._site.directory)
            if found is not None:
                self._shown = True
                self.show(waiting.Drain(found, time.monotonic() - self._ended["at"], self._interrupts))
        return self._interrupts < waiting.ENOUGH

    def _wait_for_upload(self) -> None:
        """The run is closed: its files go to a store."""
        run_id = os.path.basename(self._site.directory)
        since = float(self._ended["at"]) if self._ended else time.monotonic()
        self._shown |= uploads.follow(self._site.paths, run_id, self.show, since, lambda: self._interrupts)

    def _unshow(self) -> None:
        if self._shown:
            self.show(None)

    def _note(self, number: int) -> None:
        """A signal came of which the command, if it is there, knows."""
        if self._ended is not None:
            self._interrupts += 1 if number == signal.SIGINT else waiting.ENOUGH

    def _signal(self, number: int) -> None:
        """Pass a signal on to the command."""
        self._note(number)
        self._waiting.append(number)
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Called by the forwarder's thread, and by the main one when the command starts: whoever takes a signal off the
        list sends it, so that each is sent once."""
        while self._pid is not None and self._waiting:
            with contextlib.suppress(IndexError, ProcessLookupError, PermissionError):
                number = self._waiting.pop(0)
                if self._ended is None:
                    os.kill(self._pid, number)

    def _take_over(self, pump: Pump, job: Job) -> Outcome:
        """The keeper was killed: do its work here."""
        self._line.close()
        if self._pid is None:
            raise errors.GittrackError("the recording process was killed before the command started", "run it again")
        site = self._site
        site.starter.mend()
        recording = lazy("gittrack.record.recording").Recording(
            site.paths, site.directory, site.starter, job, site.command.environ, self._began[1]
        )
        if self._ended is None:
            recording.begin(self._pid)
        keeper = lazy("gittrack.record.keeper")
        second = keeper.Keeper((), recording, self._pid, lambda _: pump)
        second.watch(self._end())
        if self._ended is None:
            self._ended = {"code": second.end.code, "signal": second.end.signal, "at": time.monotonic()}
        closed = second.close(keeper.GRACE, self._wait_for_files)
        if closed:
            self._wait_for_upload()
        self._unshow()
        recording.settle()  # whoever closes it later must know how the command ended
        return self._outcome(recording.final() if closed else None, recording.error)

    def _end(self) -> End | None:
        """How the command ended, if the keeper still said it or we have seen it."""
        if self._ended is not None:
            return End(self._ended["code"], self._ended["signal"])
        return None if self._status is None else command.end_of(self._status)

    def _outcome(self, final: Final | None, error: str | None) -> Outcome:
        ended = self._ended or {"code": None, "signal": None, "at": time.monotonic()}
        found = None if final else waiting.look(self._site.directory)
        return Outcome(
            os.path.basename(self._site.directory),
            ended["code"],
            ended["signal"],
            ended["at"] - self._began[0],
            final,
            error,
            found and found.left,
        )

    def _pump(self, sources: tuple[Source, ...], in_front: bool = False) -> Pump:
        return Pump(sources, Console(self._site.directory, self.redact()), in_front)


def _redact_anew(site: Site) -> Redact:
    redact: Redact = lazy("gittrack.record.surroundings").stream_redactor(site.paths, site.command.environ)
    return redact
