"""git-track for tests that call it many times, without the 0.1 to 0.2 s for which Python loads modules.

Each call is a process of its own, with its own environment, folder, input and output, that runs the installed script
from its first line to its exit code. All that differs: a Python that has the modules loaded has forked it. That
`git-track` starts by itself, and what it loads, is shown by the many tests that start it otherwise.
"""

import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

TRACK = str(Path(sys.executable).parent / "git-track")
# What Python and its libraries look at when they are loaded: a call that changes it is started as any program.
_DECIDES = ("PYTHON", "LC_", "LANG", "LD_", "TERMINAL_WIDTH", "TYPER", "_TYPER", "OPENSSL_", "SSL_")
_MESSAGE = 200_000


class _Server:
    def __init__(self) -> None:
        self.env = _decisive(os.environ)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = str(Path(__file__).with_name("forking.py"))
            self.process = subprocess.Popen([sys.executable, program], stdin=theirs, stdout=subprocess.DEVNULL)
        self.socket = ours


@functools.cache
def _server() -> _Server:
    """One for all tests of this process; it ends with it."""
    return _Server()


def execute(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], text_in: "str | None" = None, timeout: float = 300
) -> "subprocess.CompletedProcess[str]":
    """Start any program, to its end; `text_in` is what it may read. Raises subprocess.TimeoutExpired."""
    fed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text_in is None else {"input": text_in}
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=timeout, **fed)


def run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], text_in: "str | None" = None, timeout: float = 300
) -> "subprocess.CompletedProcess[str]":
    """Call git-track, to its end. Raises subprocess.TimeoutExpired."""
    asked = json.dumps({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}).encode()
    said = None
    if sys.platform == "linux" and _decisive(env) == _server().env and len(asked) <= _MESSAGE:
        said = _ask(_server().socket, asked, (text_in or "").encode(), time.monotonic() + timeout)
    if not said:
        return execute(argv, cwd, env, text_in, timeout)
    out, err, told = (data.decode().replace("\r\n", "\n").replace("\r", "\n") for data in said)
    number, _, code = told.partition(" ")
    if not code:
        print(f"{argv} does not end, {out!r}, {err!r}:", _doing(int(number)))  # a report of pytest shows it
        os.kill(int(number), signal.SIGKILL)
        raise subprocess.TimeoutExpired(list(argv), timeout, out, err)
    return subprocess.CompletedProcess(list(argv), int(code), out, err)


def _doing(number: int) -> str:
    """What a process that does not end, and all that it started, are doing."""
    said = []
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(number)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                waits = Path(f"/proc/{one.pid}/wchan").read_text()
                said.append(f"\n{one.pid} {one.status()} {waits} {one.cpu_times().user:.1f} s: {one.cmdline()}")
    return "".join(said)


def _ask(server: socket.socket, asked: bytes, text: bytes, deadline: float) -> "list[bytes]":
    """What was written to the three pipes of a call; nothing where no process was made for it."""
    fed, out, err, told = (os.pipe() for _ in range(4))
    given, kept = (fed[0], out[1], err[1], told[1]), (out[0], err[0], told[0])
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(server, [asked], given)
    finally:
        for file in given:
            os.close(file)
    threading.Thread(target=_feed, args=(fed[1], text), daemon=True).start() if text else os.close(fed[1])
    try:
        said = _heard(kept, deadline)
    finally:
        for file in kept:
            os.close(file)
    return said if said[2] else []


def _heard(files: "tuple[int, ...]", deadline: float) -> "list[bytes]":
    """All that comes from them until nobody holds the other ends, or the deadline."""
    said = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as open_ends:
        for file in files:
            open_ends.register(file, selectors.EVENT_READ)
        while open_ends.get_map() and (ready := open_ends.select(max(0.0, deadline - time.monotonic()))):
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                said[key.fd] += data
                if not data:
                    open_ends.unregister(key.fd)
    return list(said.values())


def _feed(fed: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(fed, "wb") as stream:
        stream.write(data)


def _decisive(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_DECIDES)}
