"""An engine is somebody else's program: whatever it answers, an error in words is what comes of it."""

import json
import os
import socketserver
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gittrack.errors import HostFailed, ImageFailed
from gittrack.launch.engine import images
from gittrack.launch.engine.client import Client
from gittrack.launch.engine.engine import Engine
from gittrack.launch.link.protocol import Link

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20\x1b[31m"}
ODD: list[Any] = [None, [], "text", 5, {"State": [1], "Config": "x"}, {"State": "running", "Config": {"Labels": 1}}]


class Handler(socketserver.StreamRequestHandler):
    """Answers `body` to all but the first question, the one for its version; `endless` of that for ever, without an
    end of the chunk's length where there is no chunk. A pull, a push and a build get the first of `streams`, or
    `stream`."""

    body: Any = None
    endless = False
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
    stream: bytes | None = None
    streams: list[bytes] = []

    def handle(self) -> None:
        while line := self.rfile.readline():
            length, chunked = 0, False
            while (head := self.rfile.readline()) not in (b"\r\n", b""):
                if head.lower().startswith(b"content-length:"):
                    length = int(head.split(b":")[1])
                chunked |= head.lower().startswith(b"transfer-encoding:")
            self.rfile.read(length)
            while chunked and (size := int(self.rfile.readline() or b"0", 16)):
                self.rfile.read(size + 2)
            if chunked:
                self.rfile.readline()
            if self.endless and line.split()[1] != b"/version":
                self._for_ever()
                return
            stream = self.streams.pop(0) if self.streams and line.startswith(b"POST") else self.stream
            if stream is not None and line.startswith(b"POST") and b"/tag?" not in line:
                head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                for part in (head, b"%x\r\n" % len(stream), stream, b"\r\n0\r\n\r\n"):
                    self.wfile.write(part)
                return
            data = json.dumps(VERSION if line.split()[1] == b"/version" else self.body).encode()
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    def _for_ever(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                self.wfile.write(self.chunk)
        except OSError:
            pass


@pytest.fixture
def lying() -> Iterator[str]:
    """DOCKER_HOST of an engine that answers what `Handler` says."""
    path = f"/tmp/gittrack-lies-{os.getpid()}"
    server = socketserver.ThreadingUnixStreamServer(path, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"unix://{path}"
    server.shutdown()
    server.server_close()
    os.unlink(path)


STREAMS: dict[str, Callable[[Engine], Any]] = {
    "pull": lambda engine: engine.pull("python:3", lambda *_: None),
    "push": lambda engine: images.push(engine, "x", "localhost:1/x:1", lambda *_: None),
    "build": lambda engine: images.build(
        engine, lambda: [b"context"], images.Building("x:1"), lambda *_: None, lambda _text: None
    ),
}
NO_EVENTS = [
    b"null\n", b"[]\n", b'"text"\n', b"5\n", b"not JSON \x1b[31m\n", b"\xff\n", b"[" * 100_000 + b"\n",
    b'{"progressDetail": {"total": [], "current": 1}, "aux": 5}\n{"stream": "Step 1/%s : x"}\n' % (b"9" * 5000),
    b'{"progressDetail": 7, "aux": "x", "stream": "Step 1/2 : x"}\n{"cut sh',
]  # fmt: skip


CALLS: dict[str, Callable[[Engine], Any]] = {
    "look": lambda engine: engine.look(),
    "image": lambda engine: engine.image("python:3"),
    "find": lambda engine: engine.find("0123456789abcdef0123"),
    "jobs": lambda engine: engine.jobs(),
    "stats": lambda engine: engine.stats("x"),
    "exec": lambda engine: engine.exec("x", ["true"]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", ODD, ids=repr)
def test_answers_that_make_no_sense_are_told_as_such(
    here: Link, lying: str, monkeypatch: pytest.MonkeyPatch, call: str, body: Any
) -> None:
    monkeypatch.setattr(Handler, "body", body)
    engine = Engine.open(here, environ={"DOCKER_HOST": lying})
    try:
        CALLS[call](engine)
    except HostFailed as error:
        assert "\x1b" not in error.message
    finally:
        engine.close()


@pytest.mark.parametrize("call", STREAMS)
@pytest.mark.parametrize("stream", NO_EVENTS, ids=lambda stream: repr(stream[:20]))
def test_events_of_a_pull_a_push_and_a_build_that_make_no_sense_are_told_as_such(
    here: Link, lying: str, monkeypatch: pytest.MonkeyPatch, call: str, stream: bytes
) -> None:
    monkeypatch.setattr(Handler, "stream", stream)
    engine = Engine.open(here, environ={"DOCKER_HOST": lying})
    with pytest.raises(ImageFailed, match="makes no sense") as caught:
        STREAMS[call](engine)
    assert "\x1b" not in caught.value.message and len(caught.value.message) < 1000
    engine.close()


VANISHED = json.dumps({"error": "failed to get digest sha256:ab: open /var/lib/docker/x: no such file or directory"})


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_build_whose_images_are_removed_meanwhile_is_begun_anew(
    here: Link, lying: str, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(Handler, "body", {"Id": "sha256:built"})
    monkeypatch.setattr(Handler, "streams", [VANISHED.encode()] * times + [b'{"stream": "Step 1/1 : FROM x"}'])
    asked: list[str] = []

    def context() -> Iterator[bytes]:
        asked.append("again")
        yield b"context"

    engine = Engine.open(here, environ={"DOCKER_HOST": lying})
    outcome: object = ""
    try:
        outcome = images.build(engine, context, images.Building("x:1"), lambda *_: None, lambda _text: None).id
    except ImageFailed as error:
        outcome = error.message
    assert outcome == "sha256:built" if times < 3 else "failed to get digest" in str(outcome)
    assert len(asked) == min(times + 1, 3)
    engine.close()


@pytest.mark.parametrize("call", STREAMS)
@pytest.mark.parametrize("chunk", [Handler.chunk, b"0" * (1 << 20)], ids=["a line", "the length of a chunk"])
def test_events_without_end_do_not_fill_the_memory(
    here: Link, lying: str, monkeypatch: pytest.MonkeyPatch, call: str, chunk: bytes
) -> None:
    monkeypatch.setattr(Handler, "endless", True)
    monkeypatch.setattr(Handler, "chunk", chunk)
    engine = Engine.open(here, environ={"DOCKER_HOST": lying})
    with pytest.raises((ImageFailed, HostFailed)):
        STREAMS[call](engine)
    engine.close()


def test_what_a_step_prints_without_end_is_not_kept_whole(
    here: Link, lying: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = b'{"stream": "%s"}\n' % (b"x" * 100_000)
    error = b'{"error": "The command \x5cu001b[31m returned a non-zero code: 1"}\n'
    monkeypatch.setattr(Handler, "stream", b'{"stream": "Step 1/2 : RUN \x5cu001b[31m"}\n' + printed * 300 + error)
    engine = Engine.open(here, environ={"DOCKER_HOST": lying})
    tracemalloc.start()
    with pytest.raises(ImageFailed, match="step 1 of 2") as caught:
        STREAMS["build"](engine)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 15 << 20 and len(caught.value.message) < 1000 and "\x1b" not in caught.value.message
    engine.close()


def test_an_answer_without_end_does_not_fill_the_memory(lying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "endless", True)
    monkeypatch.setattr("gittrack.launch.engine.answers.MOST", 4 << 20)
    client = Client(base_url=lying, version="1.41")
    with pytest.raises(requests.RequestException, match="4,194,304"):
        client.info()
    client.close()


def test_a_run_at_an_engine_that_lies_leaves_nothing(
    repo: Path, track: Callable[..., Any], lying: str, monkeypatch: pytest.MonkeyPatch, sealed: Path
) -> None:
    monkeypatch.setattr(Handler, "body", ["odd"])
    done = track("run", "--container", "--image", "python:3", "true", DOCKER_HOST=lying, code=86)
    assert "makes no sense" in done.stderr
    assert track("ps").stdout == "" and track("ls", "-q").stdout == ""


def test_top_does_not_say_that_nothing_runs_where_nobody_answered(
    repo: Path, track: Callable[..., Any], lying: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "body", "odd")
    done = track("top", "here", DOCKER_HOST=lying, code=86)
    assert "no job" not in done.stdout + done.stderr and "here" in done.stderr
