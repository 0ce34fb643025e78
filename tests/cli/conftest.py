"""For tests of the reading commands: records in seconds, commands without a process each, and a real terminal."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import builder
import pytest

from gittrack.cli import frame
from gittrack.git.repository import Repository


@pytest.fixture
def store(repo: Path) -> Iterator[Repository]:
    """The objects and refs of `repo`, for `builder`."""
    opened = builder.opened(repo)
    yield opened
    opened.close()


@pytest.fixture
def call(repo: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`call("ls", "-q")` runs a command in this process, in `repo`, and gives what it printed; `call.err` the rest."""
    monkeypatch.chdir(repo)

    def run(*args: str, code: int = 0) -> str:
        assert frame.call(list(args)) == code, capfd.readouterr()
        sys.stdout.flush()
        out, run.err = capfd.readouterr()  # type: ignore[attr-defined]
        return out

    return run


@pytest.fixture
def terminal(repo: Path) -> Callable[..., str]:
    """`terminal("ls")` runs git-track on a terminal of 80 columns and gives all that appeared there."""

    def run(*args: str, columns: int = 80, typed: bytes = b"", **env: str) -> str:
        ours, theirs = pty.openpty()
        settings = {**os.environ, "COLUMNS": str(columns), "LINES": "24", **env}
        argv = [str(Path(sys.executable).parent / "git-track"), *args]
        with subprocess.Popen(argv, cwd=repo, stdin=theirs, stdout=theirs, stderr=theirs, env=settings) as process:
            os.close(theirs)
            os.write(ours, typed)
            seen = b""
            while select.select([ours], [], [], 60)[0]:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # EIO: nobody has the other end open any more
                    break
                if not data:
                    break
                seen += data
            process.wait(60)
        os.close(ours)
        return seen.decode().replace("\r\n", "\n")

    return run
