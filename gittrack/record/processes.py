"""Processes of our own: started with this gittrack, whichever one the training would import, and not recorded."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import gittrack
from gittrack.config import environment
from gittrack.git.discover import Paths
from gittrack.lazy import lazy

_NICE = 10
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(gittrack.__file__)))
_PATH = f"sys.path[:] = [{_HOME!r}, *filter(None, sys.path)]"


def start(
    module: str,
    args: Sequence[str],
    paths: Paths,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    environ: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> "subprocess.Popen[bytes] | None":
    """Call `main()` of a module of this package; what `given` returns there is `args` and `paths`. `keep`: files that
    stay open. None where no process can be started (no interpreter of our own, no more processes)."""
    if not sys.executable:
        return None
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code(module), *args, paths.git_dir, paths.common_dir, paths.worktree or ""],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            pass_fds=keep,
            start_new_session=True,
            env={**(environ or environment.current()), "GITTRACK_AUTOLOG": "0"},
        )
    except OSError:
        return None


def given() -> tuple[list[str], Paths]:
    """In such a process: what it was started with."""
    *args, git_dir, common_dir, worktree = sys.argv[1:]
    return args, Paths(git_dir, common_dir, worktree or None)


def step_back() -> None:
    """In such a process: leave processor and disk to the training where it wants them."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    lazy("gittrack.record.usage").low_disk_priority()


def code(module: str) -> str:
    """The program. `-c` puts the current directory at the head of the path, where a training may have any module."""
    return f"import sys; {_PATH}; from gittrack.record.{module} import main; main()"


def command_line(*words: str) -> str:
    """The program that is `git track WORDS`."""
    return f"import sys; {_PATH}; sys.argv = {['git-track', *words]!r}; from gittrack.cli.main import main; main()"
