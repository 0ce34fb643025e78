"""A proxy between a client and a real server that does to requests what networks and broken servers do to them.

It understands HTTP just enough to know where a message ends. Each request that comes in takes the next fault that fits
it; without one it is passed on.
"""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """`status`: answer this, ask nobody. `cut_request`, `cut_response`: reset the connection after so many bytes of the
    body. `corrupt_request`, `corrupt_response`: change one byte of the body. `hang`: answer never.
    `delay`: seconds until it is passed on."""

    method: str
    status: int = 0
    body: bytes = b""
    cut_request: int | None = None
    cut_response: int | None = None
    corrupt_request: bool = False
    corrupt_response: bool = False
    hang: bool = False
    delay: float = 0.0


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.removeprefix("http://").partition(":")
        self.upstream = (host, int(port))
        self.faults: list[Fault] = []
        self.always: list[Fault] = []
        self.seen: list[str] = []  # "PUT /bucket/key", one for each request
        self.at_once = self.most_at_once = 0  # requests that are being answered
        self.over = threading.Event()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.method == method:
                    self.faults.remove(fault)
                    return fault
        return next((fault for fault in self.always if fault.method == method), None)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        yield
        with self._lock:
            self.at_once -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what this is for."""


class Handler(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        head, body = _message(self.request)
        if not head:
            return
        method, path = head.split(b" ", 2)[:2]
        fault = self.server.fault(method.decode(), path.decode()) or Fault("")
        length = _length(head)
        if fault.hang:
            self.server.over.wait()
            return
        with self.server.counted():
            time.sleep(fault.delay)
        if fault.cut_request is not None:
            while len(body) < min(fault.cut_request, length):
                body += self.request.recv(65536)
            _reset(self.request)
            return
        while len(body) < length and (data := self.request.recv(65536)):
            body += data
        if fault.status:
            text = b"HTTP/1.1 %d Fault\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
                fault.status,
                len(fault.body),
            )
            self.request.sendall(text + (b"" if method == b"HEAD" else fault.body))
            return
        if fault.corrupt_request:
            body = _changed(body)
        answer_head, answer = self._ask(head, body)
        if fault.corrupt_response:
            answer = _changed(answer)
        self.request.sendall(answer_head + (answer if fault.cut_response is None else answer[: fault.cut_response]))
        if fault.cut_response is not None:
            _reset(self.request)

    def _ask(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        with socket.create_connection(self.server.upstream) as upstream:
            upstream.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) + body)
            answer = b""
            while data := upstream.recv(1 << 20):
                answer += data
        answer_head, _, rest = answer.partition(b"\r\n\r\n")
        return answer_head + b"\r\n\r\n", rest


def _message(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what of its body came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _changed(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data


def _reset(connection: socket.socket) -> None:
    """End it as a broken line does, not as a polite server."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def between(upstream: str) -> Iterator[Proxy]:
    with Proxy(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            proxy.shutdown()
            thread.join()
