"""The tracked command: found as a shell finds it, started as the user would, told which run it belongs to."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.recorder import variables

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(variables.__file__)), "bootstrap")
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what every shell answers


class CannotStart(errors.GittrackError):
    """The command is not there, or is not a program. No run is made of it."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def find(name: str, environ: Mapping[str, str]) -> str:
    """The file that a shell would run for `name`. Raises CannotStart."""
    candidates = [name] if "/" in name else [os.path.join(path or ".", name) for path in _path(environ)]
    seen = False
    for candidate in candidates:
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            seen = True
        elif "/" in name and os.path.isdir(candidate):
            raise CannotStart(f"{name} is a directory", "name a program to run", NOT_EXECUTABLE)
    if seen:
        raise CannotStart(f"{name} is not executable", _executable_hint(name), NOT_EXECUTABLE)
    hint = "check the name and PATH; no run was made"
    if any(letter.isspace() for letter in name):
        hint = "leave out the quotes around the command, or run it with a shell: sh -c '...'; no run was made"
    raise CannotStart(f"{name}: command not found", hint, NOT_FOUND)


def start(
    file: str, argv: Sequence[str], out: int, err: int, environ: Mapping[str, str], session: bool = False
) -> subprocess.Popen[bytes]:
    """Start the command. Descriptors, working directory, terminal and process group are the user's, but for a `session`
    of its own. Raises OSError."""
    try:
        return _start(file, argv, out, err, environ, session)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        script = ["/bin/sh", file, *argv[1:]]
        return _start("/bin/sh", script, out, err, environ, session)  # a script without #!, as shells do


def environment(
    environ: Mapping[str, str],
    run_id: str,
    directory: str,
    autolog: bool,
    artifacts: str = "",
    recorder: str = BOOTSTRAP,
) -> dict[str, str]:
    """The user's environment plus what makes a process of the command join the run. `recorder`: where the recorder is,
    as an entry of PYTHONPATH."""
    child = {**environ, variables.RUN_ID: run_id, variables.RUN_DIR: directory}
    if artifacts not in ("", "1"):
        child[variables.ARTIFACTS] = artifacts
    elif artifacts:
        child.pop(variables.ARTIFACTS, None)  # keeping all is what a process does that is told nothing
    paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path != recorder]
    if autolog:
        child["PYTHONPATH"] = os.pathsep.join([recorder, *paths] if any(paths) else [recorder])
    else:
        child["GITTRACK_AUTOLOG"] = "0"
        child["PYTHONPATH"] = os.pathsep.join(paths)  # a run around this one may have put it there
        if "PYTHONPATH" not in environ:
            del child["PYTHONPATH"]
    return child


class End(NamedTuple):
    """How the command ended; neither where nobody can know."""

    code: int | None
    signal: int | None

    @property
    def is_known(self) -> bool:
        return self.code is not None or self.signal is not None

    @property
    def status(self) -> str:
        return "killed" if self.signal is not None else "failed" if self.code else "completed"


def end_of(wait_status: int) -> End:
    """What a status of waitpid says."""
    if os.WIFSIGNALED(wait_status):
        return End(None, os.WTERMSIG(wait_status))
    return End(os.waitstatus_to_exitcode(wait_status), None)


def text_of(argv: Sequence[str]) -> str:
    """`argv` as one would type it."""
    return shlex.join(argv)


def _start(
    file: str, argv: Sequence[str], out: int, err: int, environ: Mapping[str, str], session: bool
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(argv),
        executable=file,
        stdout=out,
        stderr=err,
        env=dict(environ),
        close_fds=False,
        start_new_session=session,
    )


def _path(environ: Mapping[str, str]) -> list[str]:
    return environ.get("PATH", os.defpath).split(os.pathsep)


def _executable_hint(name: str) -> str:
    if name.endswith(".py"):
        return f"run it with its interpreter: git track run python {name}"
    return f"make it so with `chmod +x {name}`"
