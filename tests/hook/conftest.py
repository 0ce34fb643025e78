"""Hooks are tested by committing: with real git, and the scripts that it calls."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hook_helpers import put_hook

from gittrack.git import hook_script


@pytest.fixture
def hooked(repo: Path) -> Path:
    """`repo` with all hooks."""
    for name in hook_script.NAMES:
        put_hook(repo / ".git" / "hooks", name)
    return repo


@pytest.fixture
def commit(repo: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`commit("-m", "x")` runs `git commit`; whether it went through is its return code."""

    def call(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        argv = ["git", "commit", *(args or ("-q", "-m", "A change"))]
        return subprocess.run(
            argv, cwd=cwd or repo, capture_output=True, text=True, env={**os.environ, **env}, stdin=subprocess.DEVNULL
        )

    return call


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with git and sh and nothing of ours: what a graphical client may have."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("git", "sh", "cat", "grep", "rm"):
        found = shutil.which(name)
        assert found
        (place / name).symlink_to(found)
    return str(place)
