"""`git cat-file --batch`: one that is kept for single questions, one that is fed thousands of names at once."""

import contextlib
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

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
        self._args = ("cat-file", "--batch" if data else "--batch-check")
        self._data = data
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def ask(self, name: str) -> Found | None:
        """None when there is no such object."""
        if "\n" in name:  # cannot be asked on a line
            return None
        for attempt in (1, 2):
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(name.encode("utf-8", "surrogateescape") + b"\n")
                process.stdin.flush()
                return _answer(process.stdout, self._data)
            except (BrokenPipeError, EOFError):
                code, said = self._ended(process)
                if attempt == 2 or code > 0:  # killed by somebody, it is started once more; a complaint is passed on
                    raise _broken(name, code, said, self._git) from None
        raise AssertionError("not reached")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self._ended(process)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads would fill up one day
            self._process = self._git.popen(*self._args, stdin=subprocess.PIPE, stderr=self._said, own_session=True)
        return self._process

    def _ended(self, process: "subprocess.Popen[bytes]") -> tuple[int, bytes]:
        self._process = None
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # of what could not be written
                if pipe is not None:
                    pipe.close()
        assert self._said is not None
        with self._said as said:
            said.seek(0)
            return code, said.read()


def many(git: Git, names: Iterable[str]) -> Iterator[Found | None]:
    """The answers in order. A thread feeds the names, so that neither pipe fills up while the other waits."""
    with git.popen("cat-file", "--batch", "--buffer", stdin=subprocess.PIPE, own_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = threading.Thread(target=_feed, args=(process.stdin, names := list(names)), daemon=True)
        feeder.start()
        try:
            for name in names:
                try:
                    yield _answer(process.stdout, True)
                except EOFError:
                    raise _broken(name, process.wait(), process.stderr.read() if process.stderr else b"", git) from None
        finally:
            process.kill()
            feeder.join()


def _feed(stdin: IO[bytes], names: list[str]) -> None:
    try:
        for start in range(0, len(names), 1000):
            chunk = names[start : start + 1000]
            stdin.write("".join(f"{name}\n" for name in chunk).encode("utf-8", "surrogateescape"))
        stdin.close()
    except (BrokenPipeError, ValueError):  # nobody reads on
        pass


def _answer(stdout: IO[bytes], data: bool) -> Found | None:
    head = stdout.readline()
    if not head.endswith(b"\n"):
        raise EOFError
    match = _FOUND.match(head)
    if match is None:  # NAME missing, NAME ambiguous
        return None
    if not data:
        return Found(match[1].decode(), b"")
    size = int(match[2])
    body = stdout.read(size + 1)
    if len(body) <= size:
        raise EOFError
    return Found(match[1].decode(), body[:size])


def _broken(name: str, code: int, said: bytes, git: Git) -> errors.GittrackError:
    text = said.decode("utf-8", "replace").strip()
    if "corrupt" in text or "inflate" in text or "hash mismatch" in text or "unable to unpack" in text:
        return errors.DamagedRecord(f"{name} cannot be read: {text}", "run `git fsck`, then `git track doctor`")
    return failure(("cat-file",), code, said, git.paths)
