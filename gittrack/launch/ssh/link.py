"""The link to a host by SSH: many processes over one connection, and a second connection where the first is full.

sshd gives a connection ten sessions (MaxSessions) unless told otherwise. A dead network says nothing: whether the host
is there is asked every few seconds, and a host of which nothing comes any more is lost.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import paramiko

from gittrack.errors import HostFailed, LinkLost
from gittrack.launch.later import Later
from gittrack.launch.link import shelling
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import KEPT_ERRORS, NOBODY, Ask
from gittrack.launch.link.scripted import Scripted
from gittrack.launch.ssh import order
from gittrack.launch.ssh.connect import Reached, Way
from gittrack.launch.ssh.pieces import Pieces

# Seconds; together the longest that a dead network is taken for a slow one. ~/.ssh/config may say otherwise
# (ServerAliveInterval, ServerAliveCountMax).
ASK_EVERY, ANSWER_WITHIN = 10.0, 15.0
_SESSIONS = 10  # of one connection, by OpenSSH's default
# The largest packet that a host may send (sshd fills it, others send less): more turns with paramiko's own, 32 KiB. And
# how much nobody has read yet: of more than this, sshd spends its time moving what waits.
_PACKET, _WINDOW = 1 << 17, 1 << 23
_CLOSING = (0.02, 0.1)  # until sessions that are over for us are over for the host as well
_LOOK = 1.0  # seconds between looks at what is said besides the output
_OPEN_WITHIN = 60
_ENDING = 10  # until the thread of a connection that has broken is at its end
_GROUP_MADE = (
    0.2  # seconds until a new process has surely become the group that a signal is for; sooner, it is nobody's
)
_UNSAID = 255  # the code where a host says that a signal ended the process, which paramiko does not pass on


class Ssh(Scripted):
    """See `protocol.Link`."""

    def __init__(self, host: Host, ask: Ask = NOBODY) -> None:
        super().__init__(host)
        self._way = Way(host, os.path.expanduser("~"), ask)
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._lines = [self._line()]

    @property
    def lost(self) -> bool:  # type: ignore[override]
        return not self._closed.is_set() and not all(line.alive for line in self._lines)

    def _start(self, argv: Sequence[str]) -> "SshChannel":
        text = shelling.command_line(argv)
        session = self._session()
        channel = SshChannel(session, self._lost)
        try:
            session.exec_command(text)
        except order.BROKEN as error:
            is_broken = isinstance(error, EOFError) or session.is_cut_off()
            channel.close()
            raise (self._lost() if is_broken else self._refused(argv, error)) from error
        return channel

    def close(self) -> None:
        self._closed.set()
        with self._guard:
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()

    def _session(self) -> Any:
        """A session on a line that has room for it; the line of a link that was lost is not made anew."""
        while True:
            line = self._free_line()
            try:
                return line.session()
            except order.BROKEN as error:
                if isinstance(error, EOFError) or not line.alive:
                    raise self._lost() from error
                # Where several ask at once, paramiko tells only one of them that it was the host who refused.
                if not line.full():
                    hint = "is the user allowed to run commands there (MaxSessions)?"
                    message = f"{self.name}: the host lets us in, but gives no session: {error}"
                    raise HostFailed(message, hint, "failed") from error

    def _free_line(self) -> "_Line":
        with self._guard:
            if self._closed.is_set() or self.lost:
                raise self._lost()
            free = next((line for line in self._lines if line.reserve()), None)
            if free is None:
                free = self._line()
                free.reserve()
                self._lines.append(free)
            return free

    def _give_up_silent(self, seconds: float) -> None:
        asking = [Later(lambda line=line: line.ask(seconds)) for line in list(self._lines)]  # type: ignore[misc]
        for each in asking:
            each.wait(2 * seconds)

    def _line(self) -> "_Line":
        meaning = self._way.meaning
        every = float(meaning.alive_every or ASK_EVERY)
        return _Line(self._way.connect(), every, every * meaning.alive_count if meaning.alive_every else ANSWER_WITHIN)

    def _lost(self) -> LinkLost:
        if self._closed.is_set():
            return LinkLost(f"{self.name}: the connection has been closed", "")
        why = next((reason for line in self._lines if (reason := line.why())), "")
        return LinkLost(
            f"{self.name}: the connection is lost" + (f": {why}" if why else ""),
            "what runs there goes on: run the command again; `git track attach RUN` goes on with a job",
        )

    def _refused(self, argv: Sequence[str], error: Exception) -> HostFailed:
        return HostFailed(
            f"{self.name}: {argv[0]} was not started: {error}", "is the user allowed to run commands there?", "failed"
        )


class _Line:
    """One SSH connection and how many sessions it has. Whether its host is there is asked `every` so many seconds; one
    of which nothing comes `within` so many is lost."""

    def __init__(self, reached: Reached, every: float, within: float) -> None:
        self._reached = reached
        self._transport = reached.transport
        self._every, self._within = every, within
        self._closed = threading.Event()
        self._limit = _SESSIONS
        self._used = 0
        self._silent = 0.0  # seconds without a word, after which it was given up
        self._guard = threading.Lock()
        threading.Thread(target=self._watch, name="gittrack-keepalive", daemon=True).start()

    @property
    def alive(self) -> bool:
        return bool(self._transport.is_active())

    def reserve(self) -> bool:
        """Take a place for a session, if there is one."""
        with self._guard:
            if self._used >= self._limit:
                return False
            self._used += 1
            return True

    def session(self) -> "_Session":
        """In a place that was taken. Raises what paramiko does."""
        try:
            for wait in _CLOSING:
                with contextlib.suppress(paramiko.SSHException):
                    return self._opened()
                time.sleep(wait)
            return self._opened()
        except BaseException:
            self._release()
            raise

    def _opened(self) -> "_Session":
        return _Session(self._transport.open_session(_WINDOW, _PACKET, _OPEN_WITHIN), self._release)

    def full(self) -> bool:
        """The host has refused a session: no more than there are now. False if there are none."""
        with self._guard:
            self._limit = self._used
            return self._used > 0

    def why(self) -> str:
        """Why it is not alive, as far as anybody knows; empty while it is."""
        if self.alive:
            return ""
        if self._silent:
            return f"the host has not answered for {self._silent:g} s"
        if self._transport.farewell:
            return f"the host has ended it: {self._transport.farewell}"
        self._transport.get_exception()  # if nobody has asked
        broke = self._transport.broke
        return "the host has closed it" if isinstance(broke, EOFError) else str(broke or "")

    def close(self) -> None:
        self._closed.set()
        self._reached.close()

    def _watch(self) -> None:
        while self.alive and not self._closed.wait(self._every):
            self.ask(self._within)

    def ask(self, seconds: float) -> None:
        """Whether the host is there; if nothing comes for so long, it is lost. Any answer will do: sshd knows no such
        request, and says so. Where data waits to be sent, the question waits behind it: then what comes besides is an
        answer, too."""
        answered = threading.Event()
        Later(lambda: self._expect(answered, time.monotonic(), seconds))
        with contextlib.suppress(*order.BROKEN):
            self._transport.global_request("keepalive@openssh.com", wait=True)
            answered.set()

    def _expect(self, answered: threading.Event, asked: float, seconds: float) -> None:
        while (left := max(asked, self._transport.sock.heard) + seconds - time.monotonic()) > 0:
            if answered.wait(left):
                return
        if self.alive:
            self._silent = seconds
        self.close()

    def _release(self) -> None:
        with self._guard:
            self._used -= 1


class _Session:
    """A channel of paramiko's, and the place it has on its line."""

    def __init__(self, channel: Any, release: Callable[[], None]) -> None:
        self.channel = channel
        self.transport = channel.get_transport()
        self._release = release
        self._released = False
        channel.in_buffer = Pieces()  # nothing has come yet
        channel.in_window_threshold = _WINDOW // 2  # the host hears of more room when so much has been read
        channel.settimeout(_LOOK)

    def exec_command(self, text: str) -> None:
        self.channel.settimeout(_OPEN_WITHIN)
        self.channel.exec_command(text)
        self.channel.settimeout(_LOOK)

    def is_cut_off(self) -> bool:
        """Whether the connection has broken. It is then known to everybody."""
        if order.cut_off(self.channel):
            self.transport.join(_ENDING)
            return True
        return not self.transport.is_active()

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._release()


class SshChannel:
    """See `protocol.Channel`."""

    def __init__(self, session: _Session, lost: Callable[[], LinkLost]) -> None:
        self._session = session
        self._channel = session.channel
        self._lost = lost
        self._born = time.monotonic()
        self._said = bytearray()
        self._guard = threading.Lock()
        self._ended = self._closed = False

    def read(self, size: int) -> bytes:
        while True:
            try:
                data = order.receive(self._channel, size)
            except TimeoutError:
                self._listen()
                continue
            except order.BROKEN as error:  # it tells the host that there is room for more, and that may fail, too
                raise self._broken() from error
            if not data and not self._channel.eof_received and not self._closed:
                raise self._broken()
            if not data or self._channel.recv_stderr_ready():
                self._listen()
            return data

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                sent = order.send(self._channel, view)
            except (OSError, EOFError) as error:  # EOFError: the socket was closed while a packet was written
                if isinstance(error, EOFError) or self._session.is_cut_off():
                    raise self._lost() from error
                raise BrokenPipeError(32, "the process reads no more") from error
            view = view[sent:]
            if not sent:
                self._listen()

    def end_input(self) -> None:
        with self._guard:
            if self._ended:
                return
            self._ended = True
        with contextlib.suppress(*order.BROKEN):
            order.end_input(self._channel)

    def wait(self) -> int:
        while not self._channel.status_event.wait(_LOOK):
            self._listen()
        self._listen()
        code = int(self._channel.exit_status)
        if code == -1 and self._session.is_cut_off():  # if not, a signal has ended it
            raise self._lost()
        return _UNSAID if code == -1 else code

    def said(self) -> bytes:
        self._listen()
        return bytes(self._said)

    def close(self) -> None:
        with self._guard:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(*order.BROKEN):
            if not self._channel.status_event.wait(max(0.0, self._born + _GROUP_MADE - time.monotonic())):
                order.signal(self._channel, "TERM")
            order.close(self._channel)
        self._session.release()

    def _broken(self) -> LinkLost:
        self._session.is_cut_off()
        return self._lost()

    def _listen(self) -> None:
        """Take what is on its standard error, which shares a window with its output: unread, it would stop both."""
        with self._guard, contextlib.suppress(*order.BROKEN):
            while self._channel.recv_stderr_ready():
                self._said += order.receive_errors(self._channel, 1 << 16)
                del self._said[:-KEPT_ERRORS]
