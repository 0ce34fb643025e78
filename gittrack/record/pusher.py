"""The process that pushes when a run has ended, where `push: auto` is set. Nobody waits for it, nor sees it fail.

One at a time: a sweep ends many runs at once, and hosts of git count pushes. What it said is in `track/push.log`, and
`git track status` says when it failed.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time

from gittrack import errors
from gittrack.config import environment, settings
from gittrack.git import command, trackdir
from gittrack.git.discover import Paths
from gittrack.git.repository import Repository
from gittrack.record import processes
from gittrack.share import automatic

_BETWEEN = 10.0  # seconds from one push to the next: some hosts take six a minute


def begin(repo: Repository) -> None:
    """Start the process where it is wanted. Raises BadConfig, GitFailed, OSError."""
    environ = environment.current()
    if settings.load(repo.paths, environ, command.config(repo.git)).push:
        automatic.want(repo.paths)
        process = processes.start("pusher", [], repo.paths)
        if process is not None:
            process.returncode = 0  # not waited for


def main() -> None:
    """The process."""
    _, paths = processes.given()
    processes.step_back()
    with contextlib.suppress(BlockingIOError, errors.GittrackError, OSError):  # another one is at it, and will see
        while os.path.exists(automatic.path(paths, automatic.WANTED)):
            file = trackdir.open_file(paths.common_dir, automatic.LOCK)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            while automatic.take(paths):
                _push(paths)
                if os.path.exists(automatic.path(paths, automatic.WANTED)):
                    time.sleep(_BETWEEN)
            os.close(file)  # whoever came after the last look, and found it locked, has left word
    os._exit(0)


def _push(paths: Paths) -> None:
    log = os.open(automatic.path(paths, automatic.LOG), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    with open(log, "wb", buffering=0) as file:
        file.write(automatic.began())
        done = subprocess.run(
            [sys.executable, "-c", processes.command_line("push", "--automatic")],
            cwd=paths.worktree or paths.git_dir,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        )
        file.write(automatic.ended(done.returncode))
