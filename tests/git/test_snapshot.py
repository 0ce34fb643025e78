"""The main line of snapshots: what is captured, and that nothing of the user's is touched."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.git.snapshot import Policy, Snapshot, plan, take

Call = Callable[..., str]


@pytest.fixture
def user(repo: Path) -> Git:
    return Git(discover(str(repo), os.environ), os.environ)


def shoot(git: Git, policy: Policy | None = None, include: tuple[str, ...] = ()) -> Snapshot:
    return take(git, plan(git, policy, include))


def test_a_clean_tree_makes_no_commit_and_head_is_the_snapshot(user: Git, git: Call) -> None:
    snapshot = shoot(user)
    assert snapshot.oid == snapshot.base == git("rev-parse", "HEAD")
    assert git("rev-list", "--all", "--count") == "1"


def test_the_snapshot_is_a_commit_on_head_whose_diff_is_the_uncommitted_work(user: Git, git: Call, repo: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    (repo / "new.py").write_text("print(3)\n")
    snapshot = shoot(user)
    assert git("rev-parse", f"{snapshot.oid}^") == snapshot.base == git("rev-parse", "HEAD")
    shown = git("show", "--format=", str(snapshot.oid))
    assert "+print(2)" in shown and "+print(3)" in shown
    assert (snapshot.modified, snapshot.untracked) == (("train.py",), ("new.py",))


def test_the_same_code_gives_the_same_commit_whoever_takes_it_and_whenever(user: Git, git: Call, repo: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    first = shoot(user).oid
    git("config", "i18n.commitEncoding", "ISO-8859-1")
    git("config", "commit.gpgSign", "true")
    other = {**os.environ, "GIT_AUTHOR_NAME": "Ünlü", "GIT_COMMITTER_DATE": "2001-01-01", "TZ": "Asia/Tokyo"}
    assert shoot(Git(user.paths, other)).oid == first
    os.utime(repo / "train.py", (1, 1))
    assert shoot(user).oid == first


def test_index_work_tree_head_and_stash_stay_as_they_were(user: Git, git: Call, repo: Path) -> None:
    (repo / "staged.py").write_text("1\n")
    git("add", "staged.py")
    (repo / "train.py").write_text("print(2)\n")
    (repo / "README").unlink()
    (repo / "new").write_text("x")

    def state() -> tuple[object, ...]:
        index = repo / ".git" / "index"
        seen = index.read_bytes(), index.stat().st_mtime_ns
        return (*seen, git("status", "--porcelain=v2", GIT_OPTIONAL_LOCKS="0"), git("stash", "list"), git("reflog"))

    before = state()
    snapshot = shoot(user)
    assert state() == before
    assert git("ls-tree", "--name-only", str(snapshot.oid)).split() == ["new", "staged.py", "train.py"]
    assert not list((repo / ".git/track/tmp").iterdir())
    subprocess.run(["git", "-C", str(repo), "fsck", "--strict"], check=True)
