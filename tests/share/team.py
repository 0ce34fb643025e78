"""Clones of one repository, as the members of a team have them: each with its runs, and what it sees of the others'."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import builder
import forked
import pytest
from forked import TRACK

from gittrack.runs import writer

TRAINING = """
import pathlib, random, sys
import gittrack
seed = int(sys.argv[1])
run = gittrack.init({"seed": seed})
for step in range(3):
    run.log({"loss": 1 / (1 + step + seed)}, step=step)
pathlib.Path("model.bin").write_bytes(random.Random(seed).randbytes(200_000))
run.checkpoint(path="model.bin", step=2)
print("trained", seed)
"""


class Clone(NamedTuple):
    """A work tree. Its commands run as `env` has them, in a session of their own."""

    path: Path
    env: Mapping[str, str]

    def git(self, *args: str, code: int | None = 0, **env: str) -> str:
        return self._run(["git", *args], code, env).stdout.removesuffix("\n")

    def track(self, *args: str, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        return self._run([TRACK, *args], code, env)

    def start(self, *args: str, **env: str) -> "subprocess.Popen[str]":
        """`git track` with these arguments, not waited for. `kill` ends it and all that it started."""
        return subprocess.Popen(
            [TRACK, *args], cwd=self.path, env={**os.environ, **self.env, **env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def runs(self, numbers: Iterable[int], **facts: Any) -> list[str]:
        """Finished runs that this clone recorded. Numbers make ids: one number is one run, wherever it is recorded."""
        repo = builder.opened(self.path)
        try:
            facts = {"writer": writer.writer_id(repo.paths), **facts}
            made = [builder.journal(n, {"lr": 0.1, "seed": n}, [1 / (1 + n), 0.1], **facts) for n in numbers]
            return builder.write_runs(repo, made)
        finally:
            repo.close()

    def table(self) -> list[dict[str, Any]]:
        """All that a listing of all runs says."""
        found: list[dict[str, Any]] = json.loads(self.track("ls", "--json", "--deleted").stdout)
        return found

    def ids(self) -> set[str]:
        return {row["id"] for row in self.table()}

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        listed = self.git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
        return dict(line.split(" ") for line in listed)

    def sound(self) -> None:
        """Nothing is missing or damaged, to git and to gittrack."""
        sound(self.path)

    def _run(self, argv: list[str], code: int | None, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        start = forked.run if argv[0] == TRACK else forked.execute
        done = start(argv, self.path, {**os.environ, **self.env, **env})
        if code is not None and done.returncode != code:
            pytest.fail(
                f"{argv} exited {done.returncode}, not {code}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
            )
        return done


def cloned(url: str, path: Path, *options: str, **env: str) -> Clone:
    """What `git clone` makes of it."""
    subprocess.run(["git", "clone", "-q", *options, url, str(path)], check=True, env={**os.environ, **env})
    return Clone(path, env)


def first(url: str, repo: Path) -> Clone:
    """`repo`, with its branch at the new remote `origin`."""
    clone = Clone(repo, {})
    clone.git("remote", "add", "origin", url)
    clone.git("push", "-q", "-u", "origin", "main")
    return clone


def kill(process: "subprocess.Popen[str]") -> None:
    """SIGKILL for a command and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def sound(repository: Path) -> None:
    """`git fsck` has nothing to say of what is reachable, and nothing is missing."""
    done = subprocess.run(
        ["git", "-C", str(repository), "fsck", "--strict", "--no-dangling", "--connectivity-only"], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("notice")]
    assert (done.returncode, said) == (0, [])


def same(clones: Iterable[Clone]) -> list[dict[str, Any]]:
    """All of them show one table; gives it."""
    tables = {json.dumps(clone.table(), sort_keys=True): clone for clone in clones}
    assert len(tables) == 1, {str(clone.path): len(json.loads(table)) for table, clone in tables.items()}
    found: list[dict[str, Any]] = json.loads(next(iter(tables)))
    return found


def files_below(folder: Path) -> dict[str, str]:
    """Path -> digest of every file below `folder`."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts
    }  # fmt: skip
