"""`git track status` and `git track remote`: where runs are shared, and what is still to go or to come."""

import json

import pytest
import team

from gittrack.core import layout


@pytest.fixture
def ann(repo, tmp_path) -> team.Clone:
    bare = tmp_path / "origin.git"
    team.Clone(repo, {}).git("init", "-q", "--bare", str(bare))
    return team.first(f"file://{bare}", repo)


def state(clone: team.Clone, *args: str) -> dict:
    return json.loads(clone.track("status", "--json", *args).stdout)


def test_what_is_to_push_is_said_and_is_gone_after_it(ann: team.Clone) -> None:
    ids = ann.runs(range(2))
    ann.track("tag", ids[0], "good")
    assert "to push: 2 runs, annotations" in ann.track("status").stdout
    ann.track("push", "--yes")
    found = state(ann)
    assert (found["runs"], found["annotations"], found["agreed"]) == ([], False, True)
    assert "nothing to push" in ann.track("status").stdout


def test_what_is_to_pull_is_said_by_what_was_seen_last(ann: team.Clone, tmp_path) -> None:
    ann.runs(range(2))
    ann.track("push", "--yes")
    bob = team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")
    assert "never asked" in bob.track("status").stdout
    assert "to pull: 2 runs" in bob.track("status", "--fetch").stdout
    bob.track("pull")
    assert "nothing to pull" in bob.track("status").stdout
    ann.runs(range(2, 3))
    ann.track("push")
    assert "nothing to pull" in bob.track("status").stdout
    assert state(bob, "--fetch")["pulls"]["runs"] == 1


def test_refs_that_somebody_deleted_there_are_told(ann: team.Clone) -> None:
    (run,) = ann.runs(range(1))
    ann.track("push", "--yes")
    ann.git("push", "-q", "origin", f":{layout.run_ref(run)}")
    assert "somebody deleted there" in ann.track("status", "--fetch").stdout
    assert "to push: 1 run" in ann.track("status").stdout


def test_files_whose_bytes_are_not_here_are_counted(ann: team.Clone, tmp_path) -> None:
    (ann.path / "train.py").write_text(team.TRAINING)
    ann.git("config", "track.large", "1kB")
    ann.track("run", "-q", "--", "python", "train.py", "1")
    ann.track("push", "--yes")
    assert state(ann)["missing"] == []
    bob = team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")
    bob.track("pull")
    assert "1 file of runs not in this clone, 200.0 kB" in bob.track("status").stdout


def test_an_automatic_push_that_failed_is_told(ann: team.Clone) -> None:
    ann.track("run", "-q", "--", "true")
    log = ann.path / ".git" / "track" / "push.log"
    log.write_text("began 1700000000\nerror: origin: no\nhint: do this\nended with code 84\n")
    said = ann.track("status").stdout
    assert "the last automatic push failed" in said
    assert "hint: do this" in said


def test_a_repository_of_its_own_may_hold_the_runs(ann: team.Clone, tmp_path) -> None:
    other = tmp_path / "runs.git"
    ann.git("init", "-q", "--bare", str(other))
    assert "as for git fetch" in ann.track("remote").stdout
    assert "no remote nowhere" in ann.track("remote", "nowhere", code=2).stderr
    assert str(other) in ann.track("remote", str(other)).stdout
    ann.runs(range(1))
    ann.track("push", "--yes")
    assert "refs/track/" in ann.git("ls-remote", str(other))
    assert "refs/track/" not in ann.git("ls-remote", "origin")
    assert ann.track("remote", "--unset").stdout.startswith("origin ")


def test_a_dry_run_says_what_it_is_about(ann: team.Clone) -> None:
    ann.runs(range(1))
    said = ann.track("push", "--dry-run").stdout
    assert said.startswith(f"would push to {ann.git('remote', 'get-url', 'origin')}:\n  1 run, ")
    ann.track("push", "--yes")
    assert ann.track("push", "--dry-run").stdout == "origin has all of it\n"


def test_files_of_archived_runs_that_are_missing_are_counted(ann: team.Clone, tmp_path) -> None:
    (ann.path / "training.py").write_text(team.TRAINING.replace("200_000", "2_000_000"))
    ann.track("run", "-q", "--", "python", "training.py", "1")
    ann.track("archive", "--all", "--yes")
    assert state(ann)["missing"] == []
    ann.track("push", "--yes", "--no-artifacts")
    bob = team.cloned(ann.git("remote", "get-url", "origin"), tmp_path / "bob")
    bob.track("pull", "--records")
    assert [file["size"] for file in state(bob)["missing"]] == [2_000_000]
    assert "1 file of runs not in this clone" in bob.track("status").stdout
