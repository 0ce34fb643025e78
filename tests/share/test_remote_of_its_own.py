"""Runs in a repository of their own: their files go there, and are found there, however the place is named."""

from pathlib import Path

import git_servers
import pytest
import team


@pytest.fixture
def bare(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def ann(bare: git_servers.Bare, repo: Path) -> team.Clone:
    clone = team.first(bare.url, repo)
    (clone.path / "train.py").write_text(team.TRAINING)
    clone.git("config", "track.large", "1kB")
    return clone


def test_files_go_to_the_repository_of_the_runs_and_are_found_there_alone(
    ann: team.Clone, bare: git_servers.Bare, tmp_path: Path
) -> None:
    ann.git("init", "-q", "--bare", str(tmp_path / "runs.git"))
    (ann.path / "deep").mkdir()
    ann.track("-C", "deep", "remote", "../../runs.git")
    ann.track("run", "-q", "--name", "one", "--", "python", "train.py", "1")
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("remote", str(tmp_path / "runs.git"))
    bob.track("pull", "--artifacts")
    bob.track("checkout", "one", "--artifacts", "-o", "out")
    assert (bob.path / "out" / "model.bin").read_bytes() == (ann.path / "model.bin").read_bytes()
    assert "runs.git (git remote)" in bob.track("store", "status").stdout


def test_a_path_is_taken_from_where_it_is_said(ann: team.Clone, tmp_path: Path) -> None:
    ann.git("init", "-q", "--bare", str(tmp_path / "runs.git"))
    ann.runs(range(1))
    (ann.path / "deep").mkdir()
    ann.track("-C", "deep", "push", "--yes", "../../runs.git")
    assert "nothing new" in ann.track("fetch", "../runs.git").stdout


def test_files_come_from_the_remote_that_is_named(ann: team.Clone, bare: git_servers.Bare, tmp_path: Path) -> None:
    backup = str(git_servers.made_bare(tmp_path / "backup.git"))
    ann.track("run", "-q", "--name", "one", "--", "python", "train.py", "1")
    ann.track("push", "--yes", "--no-artifacts")
    ann.track("push", "--yes", backup)
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("remote", "origin")
    bob.git("remote", "add", "backup", backup)
    bob.track("pull", "origin", "--artifacts", code=80)
    bob.track("pull", "backup", "--artifacts")
    bob.git("remote", "remove", "backup")
    bob.track("checkout", "one", "--artifacts", "-o", "out")
    assert (bob.path / "out" / "model.bin").read_bytes() == (ann.path / "model.bin").read_bytes()
