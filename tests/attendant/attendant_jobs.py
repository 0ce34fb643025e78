"""Jobs for the tests, outside of containers: a folder as a host has it, and the attendant's zip, started as there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gittrack.attendant import zipped
from gittrack.core import codec
from gittrack.core.events import Cut, in_order, parse_cuts, parse_lines

ID = "0123456789abcdef0123"
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}  # what an image may have of variables
PYENV = Path(os.path.expanduser("~/.pyenv/versions"))
Event = dict[str, Any]


class Job:
    """One job's folder. `python` executes the attendant and is the command's `python3`."""

    def __init__(self, folder: Path, archive: str, python: str = sys.executable) -> None:
        self.folder, self.archive, self.python = folder, archive, python
        self.run_dir = folder / "run"
        self.work = folder / "work"
        self.work.mkdir(parents=True)

    def write(self, *argv: str, **more: Any) -> "Job":
        """job.json for a command; without one, for work/train.py."""
        words = list(argv) or [self.python, "train.py"]
        run = {
            "id": ID, "command": " ".join(words), "argv": words, "cwd": more.get("cwd", "."),
            "created": codec.format_time(time.time()), "user": {"name": "Ann", "email": "ann@example.org"},
            "base": None, "snapshot": None, "host": "gpu1",
        }  # fmt: skip
        document = {
            "format": 1, "id": ID, "argv": words, "cwd": ".", "start": {"run": run, "goals": {"loss": "minimize"},
            "default": []}, "params": {}, "warnings": [], "redactor": {"rules": [], "values": [], "allow": []},
            "autolog": True, "artifacts": "1", "system_metrics": True, "params_files": [], "metric_files": [],
            "large": 1000, "stored": [], "environment": {"container.json": {"image": "here"}, "git.json": {}}, **more,
        }  # fmt: skip
        (self.folder / "job.json").write_text(json.dumps(document))
        return self

    def script(self, text: str, **more: Any) -> "Job":
        """A command that is a Python program."""
        (self.work / "train.py").write_text(text)
        return self.write(**more)

    def start(self, *verb: str, environ: Mapping[str, str] = BARE, **options: Any) -> "subprocess.Popen[bytes]":
        """Start the attendant as a container does, with nothing of this process's environment."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        argv = [self.python, "-I", "-S", self.archive, *verb]
        return subprocess.Popen(argv, env={**environ, "GITTRACK_JOB": str(self.folder)}, cwd="/", **pipes)

    def execute(self, *verb: str, code: int | None = 0, timeout: float = 120, **options: Any) -> "Done":
        """Start it and wait. `code` is the exit code it must have."""
        process = self.start(*verb, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"still there after {timeout} s\n{out!r}\n{err!r}") from None
        assert code is None or process.returncode == code, f"exit {process.returncode}\n{out!r}\n{err!r}"
        return Done(process.returncode, out or b"", err or b"")

    def close(self, *options: str, code: int | None = 0) -> "Done":
        return self.execute("close", *options, code=code)

    def events(self, kind: str | None = None) -> list[Event]:
        """All events in the order of the format; of one kind, or ("m") the metric lines."""
        names = in_order(path.name for path in self.run_dir.iterdir())
        lines = [line for name in names for line in parse_lines((self.run_dir / name).read_bytes())]
        if kind is None:
            return lines
        return [line for line in lines if (line.get("e") == kind if kind != "m" else "m" in line and "e" not in line)]

    def end(self) -> Event:
        (end,) = self.events("end")
        return end

    def cuts(self) -> list[Cut]:
        path = self.run_dir / "cuts.jsonl"
        return parse_cuts(path.read_bytes()) if path.exists() else []

    def reasons(self) -> list[str]:
        return [cut.reason for cut in self.cuts()]

    def console(self) -> bytes:
        path = self.run_dir / "console.log"
        return path.read_bytes() if path.exists() else b""

    def warnings(self) -> list[str]:
        return [event["text"] for event in self.events("warning")]


class Done:
    """How the attendant ended."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out, err


def build(folder: Path) -> str:
    return zipped.build(str(folder / "attendant.zip"))


def until(what: Callable[[], object], seconds: float = 60) -> Any:
    """What `what` returns as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"nothing came in {seconds} s"
        time.sleep(0.01)
    return found


def pythons() -> dict[str, str]:
    """Interpreters of this machine from 3.9 on, by version; this one at least."""
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    for home in sorted(PYENV.glob("3.*")) if PYENV.is_dir() else []:
        major, minor = home.name.split(".")[:2]
        if int(minor) >= 9:
            found.setdefault(f"{major}.{minor}", str(home / "bin" / "python3"))
    return found
