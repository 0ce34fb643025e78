"""After `git track uninstall` a repository is as it was before the first run."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest


def state(repo: Path) -> dict[str, bytes]:
    """Every file of .git but the objects, which are git's to collect."""
    top = repo / ".git"
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and "objects" not in path.parts
    }


@pytest.fixture
def used(repo, track):
    """A repository in which gittrack was used; gives its state before."""
    before = state(repo)
    (repo / "train.py").write_text("print('edited')\n")
    track("run", "--quiet", "python", "train.py")
    track("run", "--quiet", "python", "train.py")
    track("tag", "latest", "good")
    track("rm", "latest~1")
    return before


def test_nothing_is_left(repo, used, track, git):
    shown = track("uninstall", "--yes").stdout
    assert "refs under refs/track/runs/" in shown
    assert state(repo) == used
    assert git("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert not (repo / ".git" / "refs" / "track").exists()
    assert git("status", "--short") == " M train.py"
    assert "nothing of gittrack" in track("uninstall").stdout


def test_packed_refs_go_too(repo, used, track, git):
    git("pack-refs", "--all")
    track("uninstall", "--yes")
    assert git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_dry_run_removes_nothing(repo, used, track):
    before = state(repo)
    assert "refs under refs/track/code/" in track("uninstall", "--dry-run").stdout
    assert state(repo) == before


def test_without_a_terminal_it_does_not_guess_the_answer(repo, used, track):
    before = state(repo)
    done = track("uninstall", code=2)
    assert "error: nothing was removed" in done.stderr
    assert "--yes" in done.stderr
    assert state(repo) == before


def test_the_copy_that_it_names_brings_the_runs_back(repo, used, track, git):
    listed = track("uninstall", "--dry-run").stdout
    command = listed.partition("first: ")[2].strip()
    ids = track("ls", "-q").stdout
    assert os.system(f"cd {repo} && {command} 2>/dev/null") == 0
    track("uninstall", "--yes")
    git("fetch", "-q", "runs.bundle", "refs/track/*:refs/track/*")
    assert track("ls", "-q").stdout == ids


def test_json_lists_what_there_is(used, track):
    found = json.loads(track("uninstall", "--dry-run", "--json").stdout)
    assert sum(ref.startswith("refs/track/runs/") for ref in found["refs"]) == 2
    assert found["folder"].endswith("/.git/track")
    assert found["live"] == []


def test_a_run_that_goes_on_is_not_taken_away(repo, track, git):
    running = subprocess.Popen(["git-track", "run", "--quiet", "sh", "-c", "echo up; sleep 600"], cwd=repo,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        assert "are going on" in track("uninstall", "--yes", code=2).stderr
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
