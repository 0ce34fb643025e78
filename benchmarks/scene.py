"""Where benchmarks happen: scratch repositories in a sealed environment, on the disk that TMPDIR names.

Sealed, so that a global git configuration, a hook or a developer's variables do not decide a figure.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.dirname(sys.executable)
PASSED_ON = ("LANG", "TMPDIR", "SYSTEMROOT")


class Scene(NamedTuple):
    """A scratch folder and the environment in which everything is measured."""

    root: str
    env: Mapping[str, str]

    def folder(self, name: str) -> str:
        """A new empty folder."""
        path = os.path.join(self.root, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def git(self, repo: str, *args: str, given: bytes | None = None) -> bytes:
        """Run git in `repo`. Raises CalledProcessError."""
        return subprocess.run(
            ["git", *args], cwd=repo, env=self.env, input=given, check=True, capture_output=True
        ).stdout

    def repository(self, name: str, files: int = 0) -> str:
        """A repository with one commit: train.py, and `files` small files in folders of 100."""
        path = self.folder(name)
        self.git(path, "init", "-q", "-b", "main")
        write(os.path.join(path, "train.py"), "print('trained')\n")
        for number in range(files):
            write(os.path.join(path, f"package{number // 100:03d}", f"module{number:05d}.py"), f"x = {number}\n")
        if files:  # git reads a file again that is as young as the index: only an older one is known by its stat data
            time.sleep(1.1)
        self.git(path, "add", "-A")
        self.git(path, "commit", "-q", "-m", "A project")
        return path


def write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def program(name: str, *args: str) -> list[str]:
    """The command line of one of the programs beside this file, in this interpreter."""
    return [sys.executable, os.path.join(HERE, "programs", name), *args]


def size(path: str) -> int:
    """The bytes of all files below `path`."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


@contextlib.contextmanager
def opened() -> Iterator[Scene]:
    """A scene, taken away at the end."""
    root = tempfile.mkdtemp(prefix="gittrack-bench-")
    home = os.path.join(root, "home")
    os.makedirs(home)
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "HOME": home,
        "PATH": BIN + os.pathsep + os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ann Example",
        "GIT_AUTHOR_EMAIL": "ann@example.org",
        "GIT_COMMITTER_NAME": "Ann Example",
        "GIT_COMMITTER_EMAIL": "ann@example.org",
    }
    try:
        yield Scene(root, env)
    finally:
        shutil.rmtree(root, ignore_errors=True)
