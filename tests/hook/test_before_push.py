"""With a branch go the runs that its commits name; whatever goes wrong with them, the branch goes."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from test_message import run_of

Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def origin(hooked: Path, git, tmp_path: Path) -> Path:
    """A bare repository that has `main`."""
    path = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    git("remote", "add", "origin", str(path))
    git("push", "-q", "-u", "origin", "main")
    return path


@pytest.fixture
def push(repo: Path) -> Push:
    def call(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "push", *args], cwd=repo, capture_output=True, text=True, env={**os.environ, **env}, timeout=100
        )

    return call


@pytest.fixture
def named(origin: Path, hooked: Path, commit, track) -> str:
    """The id of a run that a commit names; neither is at the remote."""
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    assert commit("-q", "-m", "Better").returncode == 0
    return run


def runs_at(origin: Path) -> str:
    argv = ["git", "for-each-ref", "--format=%(refname)", "refs/track/runs"]
    return subprocess.run(argv, cwd=origin, capture_output=True, text=True, check=True).stdout


def agree(track) -> None:
    track("run", "-q", "true")
    track("push", "--yes", "origin", "latest")


def test_the_runs_that_commits_name_go_with_the_branch(hooked, origin, track, commit, push, git):
    agree(track)
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    commit("-q", "-m", "Better")
    other = run_of(hooked, track)
    done = push("-q", "origin", "main")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "gittrack: pushed 1 run, 1 snapshot to origin\n"
    assert run in runs_at(origin) and other not in runs_at(origin)
    assert git("rev-parse", "main") == git("rev-parse", "main", cwd=origin)


def test_to_a_remote_that_never_got_runs_nothing_goes_unasked(named, origin, push):
    done = push("-q")
    assert done.returncode == 0
    assert f"git track push origin {named[:7]}" in done.stderr
    assert runs_at(origin) == ""


def test_a_push_that_names_no_run_says_nothing(origin, hooked, track, commit, push):
    agree(track)
    (hooked / "README").write_text("more\n")
    commit("-q", "-a", "-m", "More")
    done = push("-q")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failure_is_said_and_the_branch_goes_all_the_same(hooked, origin, track, commit, push, git):
    agree(track)
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    commit("-q", "-m", "Better")
    hook = origin / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/track/*) echo no hidden refs here >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    done = push("-q")
    assert done.returncode == 0
    assert "your push goes on" in done.stderr
    assert run not in runs_at(origin)
    assert git("rev-parse", "main") == git("rev-parse", "main", cwd=origin)


def test_what_the_user_said_about_code_holds(hooked, origin, track, commit, push):
    track("run", "-q", "true")
    track("push", "--yes", "--no-code", "origin", "latest")
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    commit("-q", "-m", "Better")
    assert push("-q").returncode == 0
    argv = ["git", "for-each-ref", "--format=%(refname)", "refs/track"]
    refs = subprocess.run(argv, cwd=origin, capture_output=True, text=True, check=True).stdout
    assert run in refs and "refs/track/code/" not in refs


def test_runs_go_where_the_settings_say(named, hooked, origin, tmp_path, track, git, push):
    runs = tmp_path / "runs.git"
    subprocess.run(["git", "init", "-q", "--bare", str(runs)], check=True)
    git("config", "track.remote", str(runs))
    track("run", "-q", "true")
    track("push", "--yes", "latest")
    assert push("-q").returncode == 0
    assert named in runs_at(runs) and runs_at(origin) == ""


def test_deleting_a_branch_and_pushing_hidden_refs_start_nothing(named, origin, git, push):
    git("push", "-q", "--no-verify", "origin", "HEAD:refs/heads/side")
    assert (done := push("-q", "origin", ":side")).returncode == 0 and done.stderr == ""
    assert (done := push("-q", "origin", "refs/track/*:refs/track/*")).returncode == 0 and done.stderr == ""


def test_a_dry_run_sends_nothing(hooked, origin, track, commit, push, git):
    agree(track)
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    commit("-q", "-m", "Better")
    for option in ("--dry-run", "-n", "-qn", "--dry"):
        done = push(option)
        assert done.returncode == 0
        assert "would go along" in done.stderr
        assert run not in runs_at(origin)
    push("-q")
    assert run in runs_at(origin)


def test_a_run_that_was_archived_meanwhile_goes_along(hooked, origin, track, commit, push, git):
    agree(track)
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    commit("-q", "-m", "Better")
    track("archive", run)
    done = push("-q")
    assert done.returncode == 0 and "pushed" in done.stderr
    listed = git(
        "ls-tree",
        "-r",
        "--name-only",
        git("for-each-ref", "--format=%(refname)", "refs/track/archive/**/records", cwd=origin).strip(),
        cwd=origin,
    )
    assert run in listed
    (hooked / "README").write_text("more\n")
    commit("-q", "-a", "-m", "More")
    assert push("-q").stderr == ""


def test_to_a_bare_address_only_what_the_branch_gets_counts(hooked, origin, track, commit, push, git):
    agree(track)
    (hooked / "train.py").write_text("print('better')\n")
    run_of(hooked, track)
    commit("-q", "-m", "Better")
    push("-q", "--no-verify")
    (hooked / "README").write_text("more\n")
    commit("-q", "-a", "-m", "More")
    assert push("-q", str(origin), "main").stderr == ""


def test_a_ref_with_blanks_in_what_was_typed(hooked, origin, track, commit, push):
    agree(track)
    (hooked / "train.py").write_text("print('better')\n")
    run = run_of(hooked, track)
    commit("-q", "-m", "Better")
    assert push("-q", "origin", "HEAD@{0 seconds ago}:refs/heads/other").returncode == 0
    assert run in runs_at(origin)
