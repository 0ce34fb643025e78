"""A socket of which a little more is taken than is asked for. paramiko asks for the first 16 bytes of each packet, and
then for the rest: for a line of console these are two calls, each of which lets other threads run first.

It also knows when something came the last time, which is how a host that has much to send shows that it is there.
"""

import time
from typing import Any

_LITTLE = 1024  # bytes; of large packets the rest comes without being copied


class Ahead:
    """One thread reads. All else is as it is with the socket itself."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._held = b""
        self.heard = time.monotonic()  # when something came the last time

    def recv(self, size: int) -> bytes:
        if not self._held:
            data = self._sock.recv(max(size, _LITTLE))
            self.heard = time.monotonic()
            if size >= _LITTLE:
                return bytes(data)
            self._held = data
        data, self._held = self._held[:size], self._held[size:]
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
