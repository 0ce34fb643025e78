"""Pushes that a server delays, hides things from, or breaks off: what is there is known, and said."""

from pathlib import Path

import builder
import pytest
import team

from gittrack.core import layout


@pytest.fixture
def bare(repo, tmp_path) -> Path:
    path = tmp_path / "origin.git"
    team.Clone(repo, {}).git("init", "-q", "--bare", str(path))
    return path


@pytest.fixture
def ann(repo, bare) -> team.Clone:
    return team.first(f"file://{bare}", repo)


def hook(bare: Path, name: str, text: str) -> None:
    path = bare / "hooks" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_server_that_says_when_to_come_back_is_waited_for(ann: team.Clone, bare: Path) -> None:
    hook(
        bare,
        "pre-receive",
        f'test -e {bare}/early && exit 0; touch {bare}/early; echo "429: retry after 1 s" >&2; exit 1',
    )
    ann.runs(range(2))
    done = ann.track("push", "--yes")
    assert "going on in 1 seconds" in done.stderr
    assert "pushed 2 runs" in done.stdout


def test_a_server_that_wants_a_long_wait_is_said_with_its_words(ann: team.Clone, bare: Path) -> None:
    hook(bare, "pre-receive", 'echo "rate limit: try again in 2 hours" >&2; exit 1')
    ann.runs(range(1))
    said = ann.track("push", "--yes", code=84).stderr
    assert "try again in 2 hours" in said
    assert "0 of 1 runs are there" in said


def test_refs_that_a_server_hides_from_sight_are_the_reason_that_is_named(ann: team.Clone, bare: Path) -> None:
    ann.runs(range(1))
    ann.track("push", "--yes")
    team.Clone(bare, {}).git("config", "uploadpack.hideRefs", "refs/track")
    (ann.path / ".git" / "track" / "remotes").rename(ann.path / ".git" / "track" / "forgotten")
    repo = builder.opened(ann.path)
    ref = layout.run_ref(*ann.ids())
    tip = repo.refs(ref)[ref]
    other = builder.record(repo, {**builder.files_of(repo, tip), "more": b""}, "refs/heads/other")
    ann.git("update-ref", ref, other)
    said = ann.track("push", "--yes", code=84).stderr
    assert "uploadpack.hideRefs" in said and "git track remote URL" in said


def test_what_arrived_before_the_connection_was_cut_is_counted(ann: team.Clone, bare: Path) -> None:
    ann.runs(range(2))
    hook(bare, "post-receive", "kill -9 $PPID")
    done = ann.track("push", "--yes", code=None)
    there = ann.git("ls-remote", "origin", "refs/track/runs/*").count("\n") + 1
    assert there == 2
    assert ("pushed 2 runs" in done.stdout) == (done.returncode == 0)
    (bare / "hooks" / "post-receive").unlink()
    assert "has all of it" in ann.track("push").stdout


def test_all_takes_no_archive_along_of_which_only_the_list_is_here(ann: team.Clone, tmp_path: Path) -> None:
    ann.runs(range(40))
    ann.track("push", "--yes")
    bob = team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")
    bob.track("pull")
    ann.git("init", "-q", "--bare", str(tmp_path / "new.git"))
    bob.track("push", "--yes", "--all", str(tmp_path / "new.git"))
    assert "refs/track/archive" not in bob.git("ls-remote", str(tmp_path / "new.git"))
    bob.track("pull", "--all")
    bob.track("push", "--yes", "--all", str(tmp_path / "new.git"))
    assert bob.git("ls-remote", str(tmp_path / "new.git"), "refs/track/archive/*").count("\n") == 2


def test_a_run_that_somebody_archived_there_is_not_pushed_again(ann: team.Clone, tmp_path: Path) -> None:
    (run,) = ann.runs(range(1))
    ann.track("push", "--yes")
    bob = team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")
    bob.track("pull")
    bob.track("archive", run)
    bob.track("push", "--yes")
    assert not ann.git("ls-remote", "origin", "refs/track/runs/*")
    assert "has all of it" in ann.track("push").stdout
    assert not ann.git("ls-remote", "origin", "refs/track/runs/*")


def test_who_only_pushes_fetches_no_lists_of_others(ann: team.Clone, tmp_path: Path) -> None:
    bob = team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")
    bob.runs(range(30, 70))
    bob.track("push", "--yes")
    listed = ann.git("ls-remote", "origin", "refs/track/archive/*/list").split()[0]
    ann.runs(range(2))
    ann.track("push", "--yes")
    ann.git("cat-file", "-e", listed, code=1)
