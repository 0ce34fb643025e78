"""A unix socket here whose every connection is a process at a host: how docker-py and git talk through a link.

Two threads carry each connection, one for either way. The end of one way is passed on without ending the other: git
sends its pack, ends its sending, and then reads what became of it.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator

from gittrack.errors import HostFailed
from gittrack.launch.link.protocol import Channel

_PIECE = 1 << 16
_BACKLOG = 64
_LONGEST = 80  # bytes of a folder of temporary files in which a socket can be: its whole path has about 100
_SHORT = ("/tmp", "/var/tmp", "/dev/shm")


@contextlib.contextmanager
def listening(start: Callable[[], Channel]) -> Iterator[str]:
    """Path of a socket, in a folder of its own that only this user may enter, for as long as the block runs."""
    folder = tempfile.mkdtemp(prefix="gittrack-", dir=_parent(tempfile.gettempdir()))  # 0700
    path = os.path.join(folder, "s")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(_BACKLOG)
            bridge = _Bridge(listener, start)
            bridge.start()
            try:
                yield path
            finally:
                bridge.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parent(usual: str) -> str:
    """Where the folder is made: elsewhere than usual where that has too long a name."""
    if len(os.fsencode(usual)) <= _LONGEST:
        return usual
    return next((each for each in _SHORT if os.access(each, os.W_OK | os.X_OK)), usual)


class _Bridge:
    def __init__(self, listener: socket.socket, start: Callable[[], Channel]) -> None:
        self._listener = listener
        self._open = start
        self._guard = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, name="gittrack-bridge", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more connections, and those that there are end."""
        with self._guard:
            self._stopped = True
            connections = list(self._connections)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which closing would not
        for each in connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                if self._stopped:
                    connection.close()
                    return
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="gittrack-splice", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            # Who connected learns from the end of the connection that there is no more; why, the link says.
            with contextlib.suppress(HostFailed, OSError):
                _splice(connection, self._open())
        finally:
            with self._guard:
                self._connections.discard(connection)
            connection.close()


def _splice(connection: socket.socket, channel: Channel) -> None:
    sending = threading.Thread(target=_send, args=(connection, channel), name="gittrack-send", daemon=True)
    sending.start()
    try:
        while data := channel.read(_PIECE):
            connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        channel.wait()  # it may end its output and still read
    finally:
        channel.close()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes the other thread
        sending.join()


def _send(connection: socket.socket, channel: Channel) -> None:
    with contextlib.suppress(HostFailed, OSError):
        while data := connection.recv(_PIECE):
            channel.write(data)
        channel.end_input()
