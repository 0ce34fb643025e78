"""Ports for servers that tests start.

A port that the kernel gives for the asking is free at that moment only: until the server listens there, it may become
the near end of anybody's connection, or be given to another test. These are below those that connections get, and each
is given to one living process.
"""

import contextlib
import secrets
import socket
import sys

_FIRST, _BEHIND = 20_000, 32_768
_given: list[socket.socket] = []


def free_port() -> int:
    """A port at which nobody listens, and which nobody else is given for as long as this process lives."""
    while True:
        port = _FIRST + secrets.randbelow(_BEHIND - _FIRST)
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), socket.socket() as probe:
            if sys.platform == "linux":  # the kernel takes it back, whichever way a process ends
                mark.bind(f"\0gittrack-tests-port-{port}")
            probe.bind(("127.0.0.1", port))
            _given.append(mark)
            return port
        mark.close()
