"""With `push: auto` a run is pushed when it has ended, by a process that neither delays nor fails the training."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.git.discover import discover
from gittrack.share import automatic


@pytest.fixture
def bare(repo: Path, git: Callable[..., str]) -> Path:
    path = repo.parent / "origin.git"
    git("init", "-q", "--bare", str(path))
    git("remote", "add", "origin", f"file://{path}")
    git("push", "-q", "origin", "main")
    git("config", "track.push", "auto")
    return path


def ended(repo: Path, seconds: float = 60.0) -> automatic.Last:
    """The automatic push, when it is over."""
    paths = discover(str(repo), os.environ)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = automatic.last(paths)
        if found and found.code is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(automatic.last(paths))


def test_a_run_is_at_the_remote_soon_after_it_has_ended(repo, bare, git, track) -> None:
    track("push", "--yes", "--no-code")  # nothing to push yet, and so nothing was agreed to
    track("run", "-q", "--", "true")
    assert ended(repo).code == 2
    track("push", "--yes")
    (repo / ".git" / "track" / automatic.LOG).unlink()
    track("run", "-q", "--", "true")
    assert ended(repo).code == 0
    assert git("ls-remote", "origin", "refs/track/runs/*").count("\n") == 1


def test_what_goes_wrong_is_written_down_and_is_not_the_trainings(repo, bare, git, track) -> None:
    track("run", "-q", "--", "true")
    ended(repo)
    track("push", "--yes")
    (repo / ".git" / "track" / automatic.LOG).unlink()
    bare.rename(bare.parent / "gone.git")
    done = track("run", "-q", "--", "true")
    assert (done.returncode, done.stderr) == (0, "")
    found = ended(repo)
    assert found.code == 84
    assert "does not appear to be a git repository" in found.said


def test_without_the_setting_nothing_is_started(repo, bare, git, track) -> None:
    git("config", "track.push", "false")
    track("run", "-q", "--", "true")
    assert not (repo / ".git" / "track" / automatic.WANTED).exists()
    assert automatic.last(discover(str(repo), os.environ)) is None


def test_pushes_that_are_wanted_at_once_are_one_after_the_other(repo, bare, git, track) -> None:
    track("run", "-q", "--", "true")
    ended(repo)
    track("push", "--yes")
    (repo / ".git" / "track" / automatic.LOG).unlink()
    for _ in range(3):
        track("run", "-q", "--", "true")
    until = time.monotonic() + 60
    while git("ls-remote", "origin", "refs/track/runs/*").count("\n") < 3:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_undo_asks_whether_the_push_or_the_run_is_meant(repo, bare, git, track) -> None:
    track("run", "-q", "--", "true")
    ended(repo)
    track("push", "--yes")
    (repo / ".git" / "track" / automatic.LOG).unlink()
    track("run", "-q", "--", "true")
    assert ended(repo).code == 0
    assert "git track push, by itself" in track("log").stdout
    said = track("undo", code=2).stderr
    assert "was pushed to origin by itself since" in said
    push, run = (words.split()[0] for words in said.split("git track undo ")[1:])
    assert len(track("ls", "-q").stdout.split()) == 2
    track("undo", push)
    assert git("ls-remote", "origin", "refs/track/runs/*").count("\n") == 0
    track("undo", run)
    assert len(track("ls", "-q").stdout.split()) == 1
