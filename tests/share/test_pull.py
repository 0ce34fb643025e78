"""What others have pushed is here after a pull: the same table, the same bytes, and nothing of ours touched."""

import json
from pathlib import Path

import builder
import git_servers
import pytest
import team

from gittrack.core import layout


@pytest.fixture
def bare(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def ann(bare: git_servers.Bare, repo: Path) -> team.Clone:
    return team.first(bare.url, repo)


@pytest.fixture
def bob(bare: git_servers.Bare, ann: team.Clone, tmp_path: Path) -> team.Clone:
    return team.cloned(bare.url, tmp_path / "bob")


def share(clone: team.Clone) -> None:
    """Every ref of gittrack, pushed by git itself."""
    clone.git("push", "-q", "origin", "refs/track/*:refs/track/*")


def test_a_clone_that_pulled_shows_the_same_table(ann: team.Clone, bob: team.Clone) -> None:
    ids = ann.runs(range(12))
    ann.track("tag", ids[3], "good")
    ann.track("rename", ids[4], "the-best")
    share(ann)
    said = bob.track("pull").stdout
    assert said == "pulled 12 new runs, 2 annotations from origin\n"
    assert len(team.same([ann, bob])) == 12
    assert (
        ann.track("compare", "--all", "--format", "json").stdout
        == bob.track("compare", "--all", "--format", "json").stdout
    )
    bob.sound()


def test_when_nothing_is_new_nothing_moves(ann: team.Clone, bob: team.Clone) -> None:
    ann.runs(range(3))
    share(ann)
    bob.track("pull")
    before = bob.refs()
    assert bob.track("pull").stdout == "nothing new\n"
    assert bob.refs() == before


def test_a_run_that_went_on_is_followed(ann: team.Clone, bob: team.Clone) -> None:
    repo = builder.opened(ann.path)
    journal = builder.journal(1, {"lr": 1}, [0.5] * 100)
    tip, made = builder._folded(journal, repo.algorithm, 3)
    repo.write(made)
    repo.close()
    ref = layout.run_ref(builder.run_id(1))
    ann.git("update-ref", ref, f"{tip}~2")
    share(ann)
    bob.track("pull")
    assert bob.refs()[ref] == ann.git("rev-parse", f"{tip}~2")
    ann.git("update-ref", ref, tip)
    share(ann)
    assert bob.track("pull").stdout == "pulled 1 run that went on from origin\n"
    assert bob.refs()[ref] == tip
    ann.git("push", "-q", "--force", "origin", f"{tip}~1:{ref}")
    assert bob.track("pull").stdout == "nothing new\n"
    assert bob.refs()[ref] == tip


def test_what_a_remote_lost_stays_here(ann: team.Clone, bob: team.Clone, bare: git_servers.Bare) -> None:
    ann.runs(range(3))
    ann.track("note", builder.run_id(0), "mine")
    share(ann)
    bob.track("pull")
    before = bob.refs("refs/track")
    for ref in before:
        team.Clone(bare.path, {}).git("update-ref", "-d", ref)
    assert bob.track("pull").stdout == "nothing new\n"
    assert bob.refs("refs/track") == before


def test_a_pull_can_be_undone_and_done_again(ann: team.Clone, bob: team.Clone) -> None:
    ann.runs(range(3))
    ann.track("note", builder.run_id(0), "mine")
    share(ann)
    bob.track("pull")
    assert "git track pull" in bob.track("log").stdout
    bob.track("undo")
    assert bob.ids() == set()
    bob.track("pull")
    assert len(team.same([ann, bob])) == 3


def test_a_new_clone_is_told_how_to_get_the_runs_of_others(ann: team.Clone, bob: team.Clone) -> None:
    ann.runs(range(1))
    share(ann)
    assert "`git track pull` brings them from origin" in bob.track("ls").stderr
    assert "git track pull" in bob.track("show", "latest", code=66).stderr
    bob.git("remote", "remove", "origin")
    assert "pull" not in bob.track("ls").stderr


def test_fetch_says_what_is_new_and_takes_nothing(ann: team.Clone, bob: team.Clone) -> None:
    ann.runs(range(3))
    ann.track("note", builder.run_id(0), "mine")
    share(ann)
    before = bob.refs()
    assert bob.track("fetch").stdout == "origin: 3 runs, 1 annotation log; `git track pull` takes them\n"
    said = json.loads(bob.track("pull", "--dry-run", "--json").stdout)
    assert (said["runs"], said["annotation_logs"], said["archive_lists"]) == (3, 1, 0)
    assert bob.refs() == before
    bob.track("pull")
    assert bob.track("fetch").stdout == "origin: nothing new\n"


def test_the_remote_may_be_named_by_its_url_or_by_a_setting(
    ann: team.Clone, bob: team.Clone, bare: git_servers.Bare
) -> None:
    ann.runs(range(2))
    share(ann)
    bob.git("remote", "remove", "origin")
    assert "git track remote URL" in bob.track("pull", code=2).stderr
    bob.track("pull", bare.url)
    assert len(team.same([ann, bob])) == 2
    ann.runs([2])
    share(ann)
    bob.git("config", "track.remote", bare.url)
    bob.track("pull")
    assert len(team.same([ann, bob])) == 3


def test_a_remote_that_is_gone_is_said_with_a_way_on(bob: team.Clone, bare: git_servers.Bare, tmp_path: Path) -> None:
    bare.path.rename(tmp_path / "elsewhere.git")
    said = bob.track("pull", code=84).stderr
    assert "origin" in said
    assert "git track remote" in said


def test_a_password_in_a_url_is_kept_nowhere(bob: team.Clone, bare: git_servers.Bare) -> None:
    url = bare.url.replace("file://", "file://ann:s3cret@")
    bob.git("config", f"url.{bare.url}.insteadOf", url)
    for _ in range(2):
        bob.track("pull", url)
    kept = [path for path in (bob.path / ".git" / "track").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"s3cret" in path.read_bytes()]
