"""The program behind `forked`: git-track with its modules loaded, which forks for each call.

    forking.py GIT-TRACK

Standard input is a socket. Each message on it is one call: a JSON object, and four files with it: what are to be
standard input, output and error, and the pipe that is told the process's number and how it ended.
"""

import contextlib
import ctypes  # noqa: F401  loaded by commands that ask the kernel for what Python has no call for
import gc
import json
import os
import pkgutil
import runpy
import socket
import sys
import time
from typing import Any, TextIO

import pygit2
from pygit2.enums import ConfigLevel, Option

import gittrack

# What takes the place of other modules, what travels elsewhere, and whatever loads numpy, which has threads.
LEFT = ("gittrack.recorder.bootstrap", "gittrack.attendant", "gittrack.compare.")
MESSAGE = 200_000


def main() -> None:
    requests = socket.socket(fileno=os.dup(0))
    for found in pkgutil.walk_packages(gittrack.__path__, "gittrack."):
        if not found.name.startswith(LEFT) and not found.name.endswith("__main__"):
            __import__(found.name)
    assert len(os.listdir("/proc/self/task")) == 1, "what has threads cannot be forked"
    gc.freeze()
    call, files = _next_call(requests)
    if call is None:
        os._exit(0)
    _become(call, files)
    runpy.run_path(sys.argv[0], run_name="__main__")


def _next_call(requests: socket.socket) -> "tuple[dict[str, Any] | None, list[int]]":
    """Returns in a child for each call; at the end of the calls, without one."""
    while True:
        data, files, _, _ = socket.recv_fds(requests, MESSAGE, 4)
        if not data:
            return None, []
        if os.fork() == 0:  # this one waits for its child, whatever the others do
            child = os.fork()
            if child == 0:
                requests.close()
                os.close(files.pop())
                return json.loads(data), files
            os.close(0)
            for file in files[:3]:
                os.close(file)
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(files[3], b"%d " % child)
                os.write(files[3], b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            os._exit(0)
        for file in files:
            os.close(file)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _become(call: "dict[str, Any]", files: "list[int]") -> None:
    """All that a process is given when it is started."""
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["env"])
    time.tzset()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        made = _stream(number, getattr(sys, name))
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
    sys.argv = call["argv"]
    with open("/proc/self/comm", "w") as comm:
        comm.write(os.path.basename(sys.argv[0]))
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[0] = os.path.dirname(sys.argv[0])
    for level in (ConfigLevel.XDG, ConfigLevel.GLOBAL):  # libgit2 looked for home when it was loaded
        pygit2.option(Option.SET_SEARCH_PATH, level, None)


def _stream(number: int, like: TextIO) -> TextIO:
    """As Python makes them: what it sees of a file then, as whether it is a terminal, it does not ask again."""
    return open(
        number, "w" if number else "r", encoding=like.encoding, errors=like.errors, closefd=False,
        buffering=1 if number == 2 else -1, newline="\n" if number else None,
    )  # fmt: skip


main()
