"""Servers with policies of their own: what they refuse is said with a way on, or gone around."""

import random
from collections.abc import Callable
from pathlib import Path

import builder
import git_servers
import pytest
import team


def few(bare: Path) -> None:
    git_servers.refs_a_push(bare, 3)


def hidden(bare: Path) -> None:
    team.Clone(bare, {}).git("config", "transfer.hideRefs", "refs/track")


@pytest.mark.parametrize(("policy", "word"), [(git_servers.branches_only, "not accepted"), (hidden, "hide")])
def test_a_server_that_takes_no_hidden_refs_is_named_with_a_way_on(
    policy: Callable[[Path], None], word: str, server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare, other = server_of("file").new(), server_of("file").new()
    policy(bare.path)
    ann = team.first(bare.url, repo)
    recorded = ann.runs(range(3))
    said = ann.track("push", "--yes", code=84).stderr
    assert word in said and "git track remote" in said
    assert ann.ids() == set(recorded)
    ann.git("config", "track.remote", other.url)  # the way on
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.git("config", "track.remote", other.url)
    bob.track("pull")
    assert bob.ids() == set(recorded)


@pytest.mark.parametrize("runs", [8, 40])  # by their own refs, and as an archive
def test_a_server_that_takes_few_refs_at_once_gets_them_in_small_portions(
    runs: int, server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    few(bare.path)
    ann = team.first(bare.url, repo)
    ann.runs(range(runs))
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    assert len(team.same([ann, bob])) == runs


def test_a_server_that_takes_one_push_a_minute_says_when_to_go_on_and_then_takes_the_rest(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    counter = git_servers.pushes_a_minute(bare.path, 1)
    ann.runs(range(20))
    ann.track("push", "--yes")
    ann.runs(range(20, 30))
    said = ann.track("push", "--yes", code=84).stderr
    assert "429 Too Many Requests" in said and "wait until" in said
    assert len(ann.git("ls-remote", "origin", "refs/track/runs/*").splitlines()) == 20
    counter.unlink()  # the minute is over
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    assert len(team.same([ann, bob])) == 30


@pytest.mark.parametrize("setting", ["receive.advertiseAtomic=false", "receive.denyNonFastForwards=true"])
@pytest.mark.parametrize("runs", [5, 40])
def test_a_server_without_atomic_pushes_or_forced_updates_makes_no_difference(
    setting: str, runs: int, server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    name, _, value = setting.partition("=")
    bare = server_of("file").new(**{name.replace(".", "__"): value})
    ann, bob = team.first(bare.url, repo), team.cloned(bare.url, tmp_path / "bob")
    for at in (0, runs):
        ann.runs(range(at, at + runs))
        ann.track("push", "--yes")
        bob.track("pull")
        assert len(team.same([ann, bob])) == at + runs
    team.sound(bare.path)


def test_a_server_that_denies_deletions_keeps_the_refs_of_archived_runs_and_takes_the_rest(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()  # receive.denyDeletes is about branches only: a hook it has to be
    refuse = '#!/bin/sh\ncase $3 in *[!0]*) ;; *) echo "deletion prohibited" >&2; exit 1 ;; esac\n'
    git_servers.hook(bare.path, "update", refuse)
    ann = team.first(bare.url, repo)
    ann.runs(range(15))
    ann.track("push", "--yes")
    ann.runs(range(15, 60))
    ann.track("push", "--yes")
    ann.track("push", "--yes")  # nothing is left to be tried again
    assert len(ann.git("ls-remote", "origin", "refs/track/runs/*").splitlines()) >= 15
    assert "takes no deletions" in ann.track("remote").stderr
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    assert len(team.same([ann, bob])) == 60
    team.sound(bare.path)


def test_behind_gitolite_runs_are_shared_as_elsewhere(server_of: git_servers.Find, repo: Path, tmp_path: Path) -> None:
    url = server_of("gitolite").prefix + "project"
    ann = team.first(url, repo)
    ann.runs(range(15))
    ann.track("push", "--yes")
    ann.runs(range(15, 60))
    ann.track("push", "--yes")
    bob = team.cloned(url, tmp_path / "bob")
    bob.track("pull")
    assert len(team.same([ann, bob])) == 60
    bob.track("tag", "latest", "seen")
    bob.track("push", "--yes")
    ann.track("pull")
    assert len(team.same([ann, bob])) == 60


def test_a_server_that_takes_small_requests_gets_small_ones_and_what_is_too_large_is_said(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    server = server_of("http")
    bare = server.at(server.prefix.replace("/open/", "/small/")).new()
    ann = team.first(bare.url, repo)
    chance = random.Random(1)
    for number in range(20):
        ann.runs([number], note=chance.randbytes(1000).hex())
    ann.track("push", "--yes")
    ann.runs([20], note=chance.randbytes(50_000).hex())
    said = ann.track("push", "--yes", code=84).stderr
    assert "413" in said and "fewer runs" in said
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    assert bob.ids() == {builder.run_id(number) for number in range(20)}


def test_a_server_of_gits_first_protocol_serves_as_well(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    server = server_of("http")
    bare = server.at(server.prefix.replace("/open/", "/old/")).new()
    ann = team.first(bare.url, repo)
    for at in (0, 30, 60):
        ann.runs(range(at, at + 30))
        ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    team.same([ann, bob])
    found = bob.track("show", bob.table()[-1]["id"]).stdout  # its record comes when it is asked for
    assert "completed" in found
