"""What the tests of snapshots share: take one, and look into it with plain git."""

import os
import subprocess
from pathlib import Path

from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.git.snapshot import LeftOut, Plan, Policy, Snapshot, plan, take


def git_at(path: Path) -> Git:
    return Git(discover(str(path), os.environ), os.environ)


def shoot(path: Path, policy: Policy | None = None, include: tuple[str, ...] = ()) -> Snapshot:
    """A snapshot of the work tree that `path` is in; the user's index and status must come out of it unchanged."""
    git = git_at(path)
    before = user_state(path)
    snapshot = take(git, plan(git, policy, include))
    assert user_state(path) == before
    return snapshot


def planned(path: Path, policy: Policy | None = None, include: tuple[str, ...] = ()) -> Plan:
    return plan(git_at(path), policy, include)


def user_state(path: Path) -> tuple[object, ...]:
    """What a snapshot must not touch."""
    git = git_at(path)
    index = Path(git.paths.git_dir) / "index"
    content = (index.read_bytes(), index.stat().st_mtime_ns) if index.exists() else None
    # Not `git status`, which costs more than the rest of a test where filters or submodules are.
    refs = git.run("for-each-ref"), git.run("rev-parse", "--verify", "-q", "HEAD", check=False)
    return (content, refs, git.run("reflog", "--all", check=False))


def files(path: Path, snapshot: Snapshot) -> dict[str, str]:
    """Path -> mode of all that the snapshot holds."""
    listed = git_at(path).fields("ls-tree", "-r", "-z", str(snapshot.oid))
    return {line.partition("\t")[2]: line[:6] for line in listed}


def content(path: Path, snapshot: Snapshot, name: str) -> bytes:
    return git_at(path).run("cat-file", "blob", f"{snapshot.oid}:{name}")


def left(snapshot: Snapshot | Plan, name: str) -> LeftOut:
    """The one entry for a path in what was left out."""
    (entry,) = [entry for entry in snapshot.left_out if entry.path == name]
    return entry


def sh(path: Path, *argv: str, code: int | None = 0, **env: str) -> str:
    """Run git (or what `argv` names in full) in `path`."""
    done = subprocess.run(
        ["git", *argv], cwd=path, capture_output=True, check=False, env={**os.environ, **env}, stdin=subprocess.DEVNULL
    )
    assert code is None or done.returncode == code, done.stderr.decode(errors="replace")
    return os.fsdecode(done.stdout).removesuffix("\n")


def new_repository(path: Path, *options: str) -> Path:
    subprocess.run(["git", "init", "-q", "-b", "main", *options, str(path)], check=True)
    return path
