"""`git track ls --commit`: the runs of a commit."""

import json

import pytest
import recorded_code

from gittrack.git.discover import Paths
from gittrack.runs import links


@pytest.fixture
def made(repo, git, track):
    return recorded_code.Recorded(repo, git, track)


@pytest.fixture
def listed(track):
    return lambda rev: track("ls", "-q", "--commit", rev).stdout.split()


def test_the_runs_based_on_a_commit_and_those_kept_as_it(made, listed, git):
    first = made.run()
    dirty = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 4", "four")
    made.commit("Four")
    later = made.run()
    assert listed("HEAD") == [later]
    assert listed("HEAD~1") == [dirty, first]
    snapshot = git("for-each-ref", "--format=%(objectname)", "refs/track/code").split()
    assert sum(dirty in listed(oid) for oid in snapshot) == 2  # by its base, and by its snapshot


def test_a_promoted_run_is_of_its_commit_also_after_an_amend_without_the_trailer(made, listed, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    track("promote", run[:7], "-m", "Three")
    assert listed("HEAD") == [run]
    before = git("rev-parse", "HEAD")
    git("commit", "-q", "--amend", "-m", "Three, squashed")
    assert listed("HEAD") == []
    where = Paths(str(made.repo / ".git"), str(made.repo / ".git"), str(made.repo))
    links.rewritten(where, [(before, git("rev-parse", "HEAD"))])  # what git's post-rewrite hook says
    assert listed("HEAD") == [run]


def test_runs_of_an_amended_base_are_of_the_new_one(made, listed, git):
    run = made.run()
    before = git("rev-parse", "HEAD")
    git("commit", "-q", "--amend", "-m", "The model, amended")
    where = Paths(str(made.repo / ".git"), str(made.repo / ".git"), str(made.repo))
    links.rewritten(where, [(before, git("rev-parse", "HEAD"))])
    assert listed("main") == [run]


def test_a_commit_that_names_a_run_is_of_it(made, listed, git):
    run = made.run(lambda: made.edit("line 3", "three"))
    git("commit", "-q", "--allow-empty", "-m", f"By hand\n\nTrack-Run: {run}")
    assert listed("HEAD") == [run]


def test_what_is_no_commit_or_has_no_run_is_said(made, track, git):
    assert "no commit 'nowhere'" in track("ls", "--commit", "nowhere", code=66).stderr
    git("commit", "-q", "--allow-empty", "-m", "Nothing ran here")
    made.run()
    git("commit", "-q", "--allow-empty", "-m", "Nothing ran here")
    assert "no run is of commit HEAD" in track("ls", "--commit", "HEAD").stderr


def test_it_goes_with_the_other_options(made, track):
    made.run()
    made.run(None, "--name", "second")
    rows = json.loads(track("ls", "--commit", "HEAD", "--where", "name = second", "--json").stdout)
    assert [row["name"] for row in rows] == ["second"]
    assert "1 more" in track("ls", "--commit", "HEAD", "-n", "1").stderr
