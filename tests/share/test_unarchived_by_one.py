"""Runs that one of a team takes out of an archive, and another one has archived."""

from pathlib import Path

import git_servers
import pytest
import team


@pytest.fixture
def ann(server_of: git_servers.Find, repo: Path) -> team.Clone:
    return team.first(server_of("file").new().url, repo)


@pytest.fixture
def bob(ann: team.Clone, tmp_path: Path) -> team.Clone:
    return team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")


def loose(clone: team.Clone) -> set[str]:
    return {ref.rpartition("/")[2] for ref in clone.refs("refs/track/runs/")}


def test_an_archive_that_was_undone_is_not_done_again_by_a_push(ann: team.Clone) -> None:
    ids = set(ann.runs(range(30)))
    ann.track("archive", "--all", "--yes")
    ann.track("undo")
    ann.track("push", "--yes")
    assert loose(ann) == ids


def test_an_archive_that_was_undone_is_not_done_again_by_a_pull(ann: team.Clone, bob: team.Clone) -> None:
    ids = set(ann.runs(range(3)))
    ann.track("push", "--yes")
    bob.track("pull")
    for clone in (ann, bob):
        clone.track("archive", "--all", "--yes")
    ann.track("undo")
    bob.track("push", "--yes", "--all")
    ann.track("pull")
    assert loose(ann) == ids
    ann.track("push", "--yes")
    bob.track("pull")
    assert (loose(ann), loose(bob)) == (ids, set())
    assert ann.ids() == bob.ids()


def test_a_pull_that_was_killed_between_list_and_refs_is_finished_by_the_next_one(
    ann: team.Clone, bob: team.Clone
) -> None:
    ann.runs(range(5))
    ann.track("push", "--yes")
    bob.track("pull")
    ann.track("archive", "--all", "--yes")
    ann.track("push")
    for ref, tip in ann.refs("refs/track/archive/").items():
        if ref.endswith("/list"):
            bob.git("fetch", "-q", "origin", ref)
            bob.git("update-ref", ref, tip)
    assert len(loose(bob)) == 5
    bob.track("pull")
    assert loose(bob) == set()
    assert ann.ids() == bob.ids()
    bob.sound()


def test_a_run_that_somebody_unarchived_keeps_its_ref_at_the_remote(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    bob = team.cloned(bare.url, tmp_path / "bob")
    run = ann.runs(range(3))[0]
    ann.track("push", "--yes")
    bob.track("pull")
    bob.track("archive", "--all")
    bob.track("push", "--yes", "--all")
    ann.track("pull", "--records")
    ann.track("unarchive", run)
    ann.track("push", "--yes")
    ref = f"refs/track/runs/{run[-2:]}/{run}"
    assert ref in ann.git("ls-remote", "origin", ref)
    bob.track("pull")
    assert "removed" not in bob.track("push", "--yes").stdout
    assert "deleted" not in ann.track("push", "--yes").stdout
    assert ref in ann.git("ls-remote", "origin", ref)
    assert ann.ids() == bob.ids()
