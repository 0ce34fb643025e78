"""The link to this machine: plain processes, by the same protocol as a host across the network."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

from gittrack.launch.link import shelling
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.protocol import KEPT_ERRORS
from gittrack.launch.link.scripted import Scripted

_START = ["sh", "-c", 'exec "$0" "$@"']  # a program that is missing is told as a host tells it: exit code 127
_PIECE = 1 << 16


class Here(Scripted):
    """See `protocol.Link`."""

    is_here = True

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._home = os.path.expanduser("~")
        self._channels: set[LocalChannel] = set()

    def _start(self, argv: Sequence[str]) -> "LocalChannel":
        shelling.command_line(argv)  # what no host could be asked, this one is not asked either
        channel = LocalChannel(argv, self._home, self._channels.discard)
        self._channels.add(channel)
        return channel

    def close(self) -> None:
        for each in list(self._channels):
            each.close()


class LocalChannel:
    """See `protocol.Channel`."""

    def __init__(self, argv: Sequence[str], cwd: str, gone: "Callable[[LocalChannel], None]") -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [*_START, *argv], cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._input, self._output, self._errors = self._process.stdin, self._process.stdout, self._process.stderr
        self._gone = gone
        self._closed = False
        self._guard = threading.Lock()
        self._writing = threading.Lock()  # a file is not closed under another thread's hands
        self._said = bytearray()
        self._listener = threading.Thread(target=self._listen, name="gittrack-stderr", daemon=True)
        self._listener.start()

    def read(self, size: int) -> bytes:
        try:
            return self._output.read(size) or b""
        except ValueError:  # closed by another thread
            return b""

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            with self._writing:
                while view:
                    view = view[self._input.write(view) or 0 :]
        except ValueError as error:
            raise BrokenPipeError(32, "the input was ended") from error

    def end_input(self) -> None:
        with self._writing, contextlib.suppress(OSError):
            self._input.close()

    def wait(self) -> int:
        code = self._process.wait()
        self._listener.join(timeout=1)  # a child that it left behind may hold its standard error open
        self._gone(self)
        return 128 - code if code < 0 else code

    def said(self) -> bytes:
        return bytes(self._said)

    def close(self) -> None:
        with self._guard:
            if self._closed:
                return
            self._closed = True
        if self._writing.acquire(blocking=False):  # who writes at this moment ends when the process has ended
            self._input.close()
            self._writing.release()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
            threading.Thread(target=self._reap, name="gittrack-reap", daemon=True).start()
        else:
            self._reap()

    def _reap(self) -> None:
        self._process.wait()
        self.end_input()
        self._output.close()
        self._gone(self)

    def _listen(self) -> None:
        """Its standard error is read at once, so that it never has to wait for us."""
        with self._errors:
            while data := self._errors.read(_PIECE):
                self._said += data
                del self._said[:-KEPT_ERRORS]
