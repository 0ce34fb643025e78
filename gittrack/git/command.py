"""One way to call git: argument tuples, no shell, a cleaned environment, and errors that say what to do.

Only a caller who set GIT_DIR gets GIT_DIR: with it, git skips its check of who owns the repository (safe.directory),
and a config file of somebody else's can start programs. Otherwise git is started at the top of the work tree and finds
the repository itself.
"""

import os
import subprocess
from collections.abc import Mapping
from typing import IO, NamedTuple

from gittrack import errors
from gittrack.git.discover import Paths

# What `git rev-parse --local-env-vars` lists, but for GIT_CONFIG_*: `git -c name=value track …` is the user's wish.
_LOCAL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_REFLOG_ACTION",
)
# Replace refs would show other bytes under an oid than those it is the hash of.
_ALWAYS = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1"}


class Result(NamedTuple):
    code: int
    out: bytes
    err: bytes


class Git:
    """git in one repository. Holds no process: cheap to make, safe to share between threads."""

    def __init__(self, paths: Paths, environ: Mapping[str, str], executable: str = "git") -> None:
        self.paths = paths
        self.executable = executable
        self.environ = _clean(paths, environ)
        self.directory = _directory(paths)

    def run(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str | None] | None = None,
        check: bool = True,
        cwd: str | None = None,
    ) -> bytes:
        """What `git ARGS` prints. `env` is added to the environment (None takes away). With check, failure raises."""
        result = self.call(*args, input=input, env=env, cwd=cwd)
        if check and result.code != 0:
            raise failure(args, result.code, result.err, self.paths)
        return result.out

    def call(
        self,
        *args: str,
        input: bytes | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
        keep: tuple[int, ...] = (),
    ) -> Result:
        """Like run, for a caller to whom the exit code is an answer. git inherits the open files `keep`."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.popen(*args, stdin=stdin, env=env, cwd=cwd, keep=keep) as process:
            try:
                out, err = process.communicate(input)
            except BaseException:  # an interrupt leaves no git behind that still writes into the repository
                process.kill()
                raise
        return Result(process.returncode, out, err)

    def lines(self, *args: str, input: bytes | None = None, env: Mapping[str, str | None] | None = None) -> list[str]:
        """Output by lines."""
        text = os.fsdecode(self.run(*args, input=input, env=env))
        return text.removesuffix("\n").split("\n") if text else []

    def fields(self, *args: str, input: bytes | None = None, env: Mapping[str, str | None] | None = None) -> list[str]:
        """Output of a command that was asked for `-z`, by NUL."""
        text = os.fsdecode(self.run(*args, input=input, env=env))
        return text.removesuffix("\0").split("\0") if text else []

    def popen(
        self,
        *args: str,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
        own_session: bool = False,
        keep: tuple[int, ...] = (),
    ) -> "subprocess.Popen[bytes]":
        """A running git. With `own_session`, Ctrl-C at the terminal does not reach it."""
        try:
            return subprocess.Popen(
                (self.executable, *args),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=_merged(self.environ, env),
                cwd=cwd or self.directory,
                start_new_session=own_session,
                pass_fds=keep,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            if error.filename == self.executable:
                raise errors.GitFailed("git is not installed, or not in PATH", "install git 2.27 or later") from error
            raise errors.NotARepository(f"{error.filename} cannot be entered: {error.strerror}") from error


def version(git: Git) -> tuple[int, ...]:
    """For example (2, 39, 5)."""
    words = os.fsdecode(git.run("--version")).split()
    numbers: list[int] = []
    for part in words[2].split(".") if len(words) > 2 else []:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def config(git: Git) -> dict[str, str]:
    """All of git's settings as git sees them here, keys as git prints them; of several values the last."""
    settings: dict[str, str] = {}
    for field in git.fields("config", "--list", "-z"):
        key, newline, value = field.partition("\n")
        settings[key] = value if newline else "true"  # `[core] bare` with no `=` means true
    return settings


def failure(args: tuple[str, ...], code: int, stderr: bytes, paths: Paths) -> errors.GittrackError:
    """The error that fits what git said."""
    text = stderr.decode("utf-8", "replace").strip()
    place = paths.worktree or paths.git_dir
    kind, hint = next(((k, h) for sign, k, h in _SIGNS if sign in text), (errors.GitFailed, ""))
    said = text or (f"killed by signal {-code}" if code < 0 else f"exit code {code}")
    return kind(f"git {_name(args)} failed: {said}", hint.format(place=place))


_HOOK = (
    "the reference-transaction hook of this repository refused it; let it pass refs/track, refs/track-undo and "
    "refs/track-remotes: git rev-parse --git-path hooks/reference-transaction says where it is"
)
_FULL = "free some space, then run the command again: nothing is half written"
_READ_ONLY = "make {place} and its .git writable for you, then run the command again"
_OLD = "this git is too old for what is asked: upgrade it (2.27 or later; see `git --version`)"
_SIGNS: tuple[tuple[str, type[errors.GittrackError], str], ...] = (
    ("dubious ownership", errors.GitFailed, "if you trust it: git config --global --add safe.directory {place}"),
    ("unsafe repository", errors.GitFailed, "if you trust it: git config --global --add safe.directory {place}"),
    ("not a git repository", errors.NotARepository, "run `git init` first, or change to your project's directory"),
    ("unknown repository extension", errors.GitFailed, _OLD),
    ("Expected git repo version", errors.GitFailed, _OLD),
    ("is not a git command", errors.GitFailed, _OLD),
    ("unknown option", errors.GitFailed, _OLD),
    ("unknown command: start", errors.GitFailed, _OLD),  # of `update-ref --stdin`, before 2.27
    ("unknown switch", errors.GitFailed, _OLD),
    ("aborted by hook", errors.GitFailed, _HOOK),
    ("aborted by the reference-transaction hook", errors.GitFailed, _HOOK),
    ("No space left on device", errors.CannotWrite, _FULL),
    ("Disk quota exceeded", errors.CannotWrite, _FULL),
    ("Read-only file system", errors.CannotWrite, _READ_ONLY),
    ("insufficient permission", errors.CannotWrite, _READ_ONLY),
    ("Permission denied", errors.CannotWrite, _READ_ONLY),
    ("Operation not permitted", errors.CannotWrite, _READ_ONLY),
)


def _name(args: tuple[str, ...]) -> str:
    """The sub-command: what follows options such as `-c name=value`."""
    rest = list(args)
    while len(rest) > 2 and rest[0] in ("-c", "-C"):
        rest = rest[2:]
    return rest[0] if rest else ""


def _clean(paths: Paths, environ: Mapping[str, str]) -> dict[str, str]:
    cleaned = {key: value for key, value in environ.items() if key not in _LOCAL} | _ALWAYS
    if environ.get("GIT_DIR"):
        cleaned["GIT_DIR"] = paths.git_dir
    if environ.get("GIT_COMMON_DIR"):
        cleaned["GIT_COMMON_DIR"] = paths.common_dir
    if paths.worktree and (environ.get("GIT_WORK_TREE") or environ.get("GIT_DIR")):
        cleaned["GIT_WORK_TREE"] = paths.worktree
    return cleaned


def _directory(paths: Paths) -> str:
    """Where git is started: where it finds the same repository by itself."""
    if paths.worktree and os.path.exists(os.path.join(paths.worktree, ".git")):
        return paths.worktree
    return paths.git_dir


def _merged(environ: dict[str, str], more: Mapping[str, str | None] | None) -> dict[str, str]:
    if not more:
        return environ
    merged: dict[str, str | None] = {**environ, **more}
    return {key: value for key, value in merged.items() if value is not None}
