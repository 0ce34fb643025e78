"""The pre-merge-commit hook: merges that git commits by itself, without calling pre-commit."""

import os
import subprocess
from pathlib import Path

import pytest
from hook_helpers import KEY


@pytest.fixture
def side(hooked: Path, git) -> Path:
    """A branch `side` with a model and a secret that somebody has committed, and a `main` that went on."""
    git("checkout", "-q", "-b", "side")
    (hooked / "theirs.pt").write_bytes(os.urandom(50))
    (hooked / "theirs.py").write_text(f"key = '{KEY}'\n")
    git("add", "-A")
    git("commit", "-q", "--no-verify", "-m", "Theirs")
    git("checkout", "-q", "main")
    (hooked / "mine.py").write_text("x = 1\n")
    git("add", "-A")
    git("commit", "-q", "-m", "Mine")
    return hooked


def merge(repo: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "merge", "--no-edit", *args], cwd=repo, capture_output=True, text=True)


def test_what_others_have_committed_passes(side, git):
    done = merge(side, "-q", "side")
    assert done.returncode == 0, done.stderr
    assert "gittrack" not in done.stderr
    assert git("log", "-1", "--format=%P").count(" ") == 1


def test_what_comes_into_the_index_meanwhile_is_judged_and_the_merge_waits(side, git, commit):
    own = side / ".git" / "hooks" / "pre-merge-commit.before-gittrack"
    own.write_text(f"#!/bin/sh\necho \"key = '{KEY}'\" > made.py && git add made.py\n")
    own.chmod(0o755)
    done = merge(side, "-q", "side")
    assert done.returncode != 0
    assert "made.py:1" in done.stderr and "theirs" not in done.stderr
    git("rm", "-q", "-f", "made.py")
    assert commit("-q", "--no-edit").returncode == 0
    assert git("log", "-1", "--format=%P").count(" ") == 1


def test_three_branches_at_once(side, git):
    git("checkout", "-q", "-b", "third", "HEAD~1")
    (side / "third.pt").write_bytes(os.urandom(50))
    git("add", "-A")
    git("commit", "-q", "--no-verify", "-m", "Third")
    git("checkout", "-q", "main")
    done = merge(side, "-q", "side", "third")
    assert done.returncode == 0, done.stderr
    assert "gittrack" not in done.stderr
