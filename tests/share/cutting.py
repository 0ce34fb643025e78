"""A line between client and server that breaks: a proxy for any protocol, which counts bytes and then resets."""

import contextlib
import selectors
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from typing import Any


class Line(socketserver.ThreadingTCPServer):
    """`up`, `down`: how many bytes pass to the server, and from it, on each connection; then it is reset. None: all."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.up: int | None = None
        self.down: int | None = None
        super().__init__(("127.0.0.1", 0), _Connection)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ends that go away are what this is for."""


class _Connection(socketserver.BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        client = self.request
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream:
            left = {client: self.server.up, upstream: self.server.down}
            other = {client: upstream, upstream: client}
            with selectors.DefaultSelector() as ready:
                for end in other:
                    ready.register(end, selectors.EVENT_READ)
                while ready.get_map():
                    for key, _ in ready.select():
                        end: Any = key.fileobj
                        data = end.recv(65536)
                        if not data:
                            ready.unregister(end)
                            with contextlib.suppress(OSError):
                                other[end].shutdown(socket.SHUT_WR)
                            continue
                        allowed = left[end]
                        if allowed is not None and len(data) > allowed:
                            other[end].sendall(data[:allowed])
                            _reset(client)
                            _reset(upstream)
                            return
                        if allowed is not None:
                            left[end] = allowed - len(data)
                        other[end].sendall(data)


def _reset(connection: socket.socket) -> None:
    """End it as a broken line does, not as a polite server."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def between(upstream: int) -> Iterator[Line]:
    """A line to the port `upstream`."""
    with Line(upstream) as line:
        thread = threading.Thread(target=line.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield line
        finally:
            line.shutdown()
            thread.join()
