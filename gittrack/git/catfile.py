"""`git cat-file --batch`: one that is kept for single questions, one that is fed thousands of names at once."""

import contextlib
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.git.command import Git, failure

_FOUND = re.compile(rb"[0-9a-f]{40,64} ([a-z]+) (\d+)\n\Z")


class Found(NamedTuple):
    kind: str
    data: bytes  # empty where only existence was asked for


class CatFile:
    """Answers one name at a time. The process starts at the first question, and again when it has died."""

    def __init__(self, git: Git, data: bool = True) -> None:
        self._git = git
        self._data = data
        self._process: _Process | None = None

    def ask(self, name: str) -> Found | None:
        """None when there is no such object. Raises DamagedRecord."""
        if "\n" in name:  # cannot be asked on a line
            return None
        for attempt in (1, 2):
            process = self._process = self._process or _Process(self._git, "--batch" if self._data else "--batch-check")
            try:
                process.ask(name)
                found = process.answer(self._data)
            except (BrokenPipeError, EOFError):
                self._process = None
                code, said = process.end()
                if attempt == 2 or code > 0:  # killed by somebody, it is started once more; a complaint is passed on
                    raise _broken(name, code, said, self._git) from None
                continue
            if found is None and process.complained():  # an object that does not decode is "missing", too
                self._process = None
                raise _broken(name, *process.end(), self._git)
            return found
        raise AssertionError("not reached")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()


def many(git: Git, names: Sequence[str]) -> Iterator[Found | None]:
    """The answers in order; None for what is not there or does not decode."""
    at = 0
    while at < len(names):
        process = _Process(git, "--batch", "--buffer")
        # A thread feeds the names, so that neither pipe fills up while the other waits.
        feeder = threading.Thread(target=_feed, args=(process, names[at:]), daemon=True)
        feeder.start()
        code = 0
        try:
            while at < len(names):
                found = process.answer(True)
                at += 1
                yield found
        except EOFError:  # git stops at an object that turns out to be damaged halfway
            code = process.wait()
        finally:
            said = process.end()[1]
            feeder.join()
        if at < len(names):
            if b"unable to stream" not in said and b"corrupt" not in said:
                raise _broken(names[at], code, said, git)
            at += 1
            yield None


def measured(git: Git, names: Sequence[str]) -> list[tuple[str, int] | None]:
    """(kind, size) of each, in order, without reading any; None for what is not there."""
    asked = [name if "\n" not in name else "" for name in names]
    if not asked:
        return []
    given = "".join(f"{name}\n" for name in asked).encode("utf-8", "surrogateescape")
    said = git.run("cat-file", "--batch-check", input=given).split(b"\n")
    found = [_FOUND.match(line + b"\n") for line in said[: len(asked)]]
    return [(match[1].decode(), int(match[2])) if match else None for match in found]


class _Process:
    """A running `git cat-file`. Its complaints go to a file: a pipe that nobody reads would fill up one day."""

    def __init__(self, git: Git, *args: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        pipe = subprocess.PIPE
        self._process = git.popen("cat-file", *args, stdin=pipe, stderr=self._said, own_session=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def ask(self, *names: str) -> None:
        self._in.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
        self._in.flush()

    def asked(self) -> None:
        self._in.close()

    def answer(self, data: bool) -> Found | None:
        """None for `NAME missing` and `NAME ambiguous`. Raises EOFError when git is gone."""
        head = self._out.readline()
        if not head.endswith(b"\n"):
            raise EOFError
        match = _FOUND.match(head)
        if match is None:
            return None
        if not data:
            return Found(match[1].decode(), b"")
        size = int(match[2])
        body = self._out.read(size + 1)
        if len(body) <= size:
            raise EOFError
        return Found(match[1].decode(), body[:size])

    def complained(self) -> bool:
        return os.fstat(self._said.fileno()).st_size > 0

    def wait(self) -> int:
        return self._process.wait()

    def end(self) -> tuple[int, bytes]:
        """Exit code, and what was complained of."""
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        for pipe in (self._in, self._out):
            with contextlib.suppress(BrokenPipeError):  # of what could not be written
                pipe.close()
        with self._said as said:
            said.seek(0)
            return code, said.read()


def _feed(process: _Process, names: Sequence[str]) -> None:
    with contextlib.suppress(BrokenPipeError, ValueError):  # nobody reads on
        for start in range(0, len(names), 1000):
            process.ask(*(name if "\n" not in name else "" for name in names[start : start + 1000]))
        process.asked()


def _broken(name: str, code: int, said: bytes, git: Git) -> errors.GittrackError:
    text = said.decode("utf-8", "replace").strip()
    if any(sign in text for sign in ("corrupt", "inflate", "unable to unpack", "hash mismatch", "is empty")):
        return errors.DamagedRecord(f"{name} cannot be read: {text}", "run `git fsck`, then `git track doctor`")
    return failure(("cat-file",), code, said, git.paths)
