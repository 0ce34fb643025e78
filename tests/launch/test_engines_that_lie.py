"""An engine is somebody else's program: whatever it answers, an error in words is what comes of it."""

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gittrack.errors import HostFailed
from gittrack.launch.engine.client import Client
from gittrack.launch.engine.engine import Engine
from gittrack.launch.link.protocol import Link

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20\x1b[31m"}
ODD: list[Any] = [None, [], "text", 5, {"State": [1], "Config": "x"}, {"State": "running", "Config": {"Labels": 1}}]


class Handler(socketserver.StreamRequestHandler):
    """Answers `body` to all but the first question, the one for its version; `endless` of that for ever."""

    body: Any = None
    endless = False

    def handle(self) -> None:
        while line := self.rfile.readline():
            length = 0
            while (head := self.rfile.readline()) not in (b"\r\n", b""):
                if head.lower().startswith(b"content-length:"):
                    length = int(head.split(b":")[1])
            self.rfile.read(length)
            if self.endless:
                self._for_ever()
                return
            data = json.dumps(VERSION if line.split()[1] == b"/version" else self.body).encode()
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    def _for_ever(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"x" * (1 << 20)
        try:
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
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


def test_an_answer_without_end_does_not_fill_the_memory(lying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "endless", True)
    monkeypatch.setattr("gittrack.launch.engine.client.MOST", 4 << 20)
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
