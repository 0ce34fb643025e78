"""Streams of an engine that a client library cannot carry without delay or loss: output as it comes, and both ways.

An engine that is asked to upgrade a connection speaks raw bytes on it afterwards. Those of a program without a terminal
come in frames that say which of its two outputs they are from; with a terminal there is one output, and no frames.
"""

import contextlib
import http.client
import io
import json
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from gittrack.launch.link.protocol import Channel

_HEADER = 8
_MOST_HEAD = 65_536
_MOST_FRAME = 1 << 24  # the engine's are 32 KiB or less
_CHUNK = 65_536
OUT, ERR = 1, 2
_FAILED = 3  # what the engine itself has to say in between: why it goes on no more


class Refused(Exception):
    """The engine answered something else than was hoped for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Plugged:
    """A process at a host, in the place of a socket: what it says comes to who reads without a detour."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.sendall = channel.write

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Output(self._channel), _CHUNK)

    def close(self) -> None:
        """What is being read outlives it, as with a socket."""


class _Output(io.RawIOBase):
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        data = self._channel.read(len(room))
        room[: len(data)] = data
        return len(data)


def frames_of(engine: str | Callable[[], Channel], url: str) -> Iterator[tuple[int, bytes]]:
    """Output of a container without a terminal, from a GET of `url`. Closing the generator ends the request.

    `engine`: the path of its socket, or what begins a process that is joined to it. Raises Refused, OSError,
    HTTPException, and what a channel raises."""
    if isinstance(engine, str):
        yield from _frames(_connected(engine), url)
        return
    with contextlib.closing(engine()) as channel:
        yield from _frames(_Plugged(channel), url)


def _frames(sock: Any, url: str) -> Iterator[tuple[int, bytes]]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = sock
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(answer.status, _said(answer.read(_MOST_HEAD)))
        yield from unpacked(answer.read1)
    finally:
        connection.close()


def unpacked(read: Callable[[int], bytes], terminal: bool = False) -> Iterator[tuple[int, bytes]]:
    """The frames in a stream, each as soon as there is something of it. One that is cut short ends it."""
    buffer = bytearray()
    while True:
        data = read(_CHUNK)
        if not data:
            return
        if terminal:
            yield OUT, data
            continue
        buffer += data
        while len(buffer) >= _HEADER:
            which, length = struct.unpack_from(">BxxxL", buffer)
            if which > _FAILED or length > _MOST_FRAME:
                raise Refused(0, "what came from the engine is no output of a container")
            if len(buffer) < _HEADER + length:
                break
            whole = bytes(buffer[_HEADER : _HEADER + length])
            del buffer[: _HEADER + length]
            if which == _FAILED:
                raise ConnectionAbortedError(whole.decode("utf-8", "replace").strip())
            if whole:
                yield which or OUT, whole


class Stream:
    """A connection that has been upgraded: what is sent is a program's input. Raises OSError when it breaks."""

    def __init__(self, path: str, url: str, body: Any = None, terminal: bool = False) -> None:
        """Raises Refused, OSError."""
        self._terminal = terminal
        self._socket = _connected(path)
        try:
            text = b"" if body is None else json.dumps(body).encode()
            head = f"POST {url} HTTP/1.1\r\nHost: localhost\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n"
            kind = "Content-Type: application/json\r\n" if text else ""
            self._socket.sendall(f"{head}{kind}Content-Length: {len(text)}\r\n\r\n".encode() + text)
            self._rest = self._upgraded()
        except BaseException:
            self._socket.close()
            raise

    def _upgraded(self) -> bytes:
        """What came after the head of the answer."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = self._socket.recv(_CHUNK)
            if not data or len(head) > _MOST_HEAD:
                raise ConnectionResetError("the engine hung up")
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        if status not in (101, 200):
            raise Refused(status, _said(rest))
        return rest

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Output: 1 standard output, 2 standard error, and bytes."""
        return unpacked(self._read, self._terminal)

    def _read(self, size: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        try:
            return self._socket.recv(size)
        except ConnectionResetError:  # it was closed with input in it that nobody read; what was said before has come
            return b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end_input(self) -> None:
        """The program's input ends here."""
        self._socket.shutdown(socket.SHUT_WR)

    def ready(self, timeout: float) -> bool:
        """Whether there is output to be read, waited for so long."""
        return bool(self._rest) or bool(select.select([self._socket], [], [], timeout)[0])

    def close(self) -> None:
        self._socket.close()


def _connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


def _said(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, LookupError, TypeError):
        return answer.decode("utf-8", "replace")
