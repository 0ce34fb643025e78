"""Servers for as long as the tests that started them run: killed, these cannot end anything.

A process between the two holds one end of a pipe, and ends the server with all its workers when the other end is gone,
whichever way it went.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

_WATCH = """
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGTERM, lambda *_: None)
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

def watch():
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)
    try:
        server.wait(10)
    finally:
        os.killpg(0, signal.SIGKILL)

threading.Thread(target=watch, daemon=True).start()
server.wait()
os.killpg(0, signal.SIGKILL)  # its workers do not end with it
"""


@contextlib.contextmanager
def tied(
    argv: Sequence[str], output: IO[Any] | int = subprocess.DEVNULL, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """`argv`, running; what is given ends when it does."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _WATCH, *argv],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=env,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself
            process.stdin.write(b"x")  # a child that was forked meanwhile may have the pipe, too
            process.stdin.close()
        process.wait(60)
