"""Pulls at the same time, killed, and by clones of every kind: whole runs or none, and the next pull goes on."""

import subprocess
import time
from pathlib import Path

import git_servers
import pytest
import team


@pytest.fixture
def served(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def ann(served: git_servers.Bare, repo: Path) -> team.Clone:
    clone = team.first(served.url, repo)
    ids = clone.runs(range(60))
    clone.track("note", ids[0], "shared")
    clone.git("push", "-q", "origin", "refs/track/*:refs/track/*")
    return clone


def test_pulls_at_the_same_time_all_succeed(ann: team.Clone, served: git_servers.Bare, tmp_path: Path) -> None:
    bob = team.cloned(served.url, tmp_path / "bob")
    pulling = [bob.start("pull") for _ in range(4)]
    said = [process.communicate(timeout=120)[0] for process in pulling]
    assert [process.returncode for process in pulling] == [0] * 4, said
    assert len(team.same([ann, bob])) == 60
    bob.sound()


def test_a_pull_that_is_killed_leaves_whole_runs_and_is_done_again(
    ann: team.Clone, served: git_servers.Bare, tmp_path: Path
) -> None:
    for number, wait in enumerate((0.05, 0.15, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)):
        bob = team.cloned(served.url, tmp_path / f"bob-{number}")
        process = bob.start("pull")
        try:
            process.wait(wait)  # the moment is what varies
        except subprocess.TimeoutExpired:
            team.kill(process)
        bob.sound()
        bob.track("pull")
        assert len(team.same([ann, bob])) == 60
        bob.sound()


@pytest.mark.parametrize("options", [("--depth=1",), ("--filter=blob:none",), ("--sparse",), ("--mirror",)], ids=str)
def test_clones_of_every_kind_see_the_same_table(
    options: tuple[str, ...], ann: team.Clone, served: git_servers.Bare, tmp_path: Path
) -> None:
    team.Clone(served.path, {}).git("config", "uploadpack.allowFilter", "true")
    carl = team.cloned(served.url, tmp_path / "carl", *options)
    carl.track("pull")
    team.same([ann, carl])


def test_a_linked_worktree_shares_what_was_pulled(ann: team.Clone, served: git_servers.Bare, tmp_path: Path) -> None:
    bob = team.cloned(served.url, tmp_path / "bob")
    bob.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = team.Clone(tmp_path / "linked", {})
    linked.track("pull")
    team.same([ann, bob, linked])
    assert bob.track("pull").stdout == "nothing new\n"


def test_what_a_mirror_push_deleted_is_put_back(ann: team.Clone, served: git_servers.Bare, tmp_path: Path) -> None:
    bob, carl = team.cloned(served.url, tmp_path / "bob"), team.cloned(served.url, tmp_path / "carl")
    bob.track("pull")
    carl.git("push", "-q", "--mirror", "origin")
    assert "git track push" in bob.track("pull").stderr
    assert "gone there" in bob.track("doctor", code=None).stdout
    assert bob.track("pull").stderr == ""
    team.same([ann, bob])
    bob.track("push", "--all", "--yes")
    carl.track("pull")
    team.same([ann, bob, carl])


def test_a_pull_with_nothing_new_asks_once_and_is_settled(
    ann: team.Clone, served: git_servers.Bare, tmp_path: Path
) -> None:
    bob = team.cloned(served.url, tmp_path / "bob")
    bob.track("pull")
    time.sleep(2.6)  # the coarsest grain of a file system's times: before it, nothing is believed to be settled
    bob.track("pull")
    trace = tmp_path / "trace"
    assert bob.track("pull", GIT_TRACE2_EVENT=str(trace)).stdout == "nothing new\n"
    started = [line for line in trace.read_text().splitlines() if '"event":"start"' in line]
    assert sum('"ls-remote"' in line for line in started) == 1
    assert not [line for line in started if '"fetch"' in line or '"for-each-ref"' in line]
    bob.git("update-ref", "-d", next(iter(bob.refs("refs/track/runs"))))
    assert bob.track("pull").stdout == "pulled 1 new run from origin\n"
