"""`git track doctor` finds what is wrong and names what to run."""

import json

import pytest


def test_all_is_well_in_a_new_repository_and_after_a_run(track):
    assert track("doctor").stdout.endswith("all in order\n")
    track("run", "--quiet", "true")
    assert track("doctor").stdout.endswith("all in order\n")
    assert "1 of 1 record whole" in track("doctor", "--verbose").stdout


@pytest.fixture
def damaged(repo, track, git):
    """A repository with one run whose record was damaged by hand."""
    track("run", "--quiet", "true")
    [ref] = git("for-each-ref", "--format=%(refname)", "refs/track/runs").splitlines()
    blob = git("hash-object", "-w", "--stdin", text_in="no json\n")
    listed = git("ls-tree", ref).replace(git("rev-parse", f"{ref}:status.json"), blob)
    tree = git("mktree", text_in=listed + "\n")
    git("update-ref", ref, git("commit-tree", "-p", ref, "-m", "damage", tree))
    return ref


def test_a_damaged_record_is_named(damaged, track):
    done = track("doctor", code=65)
    assert "error" in done.stdout
    assert damaged.rpartition("/")[2][:7] in done.stdout
    assert "1 broken" in done.stdout


def test_a_damaged_record_does_not_stop_the_list(damaged, track):
    [run] = json.loads(track("ls", "--json").stdout)
    assert run["status"] == "damaged"


def test_a_wrong_setting_is_named_with_its_place(repo, track):
    (repo / "gittrack.yaml").write_text("golas: {loss: minimize}\n")
    done = track("doctor", code=65)
    assert "gittrack.yaml:1: golas is no setting" in done.stdout
    assert "did you mean goals?" in done.stdout


def test_json_has_every_finding(track):
    found = json.loads(track("doctor", "--json").stdout)
    assert {"ok"} <= {one["level"] for one in found} <= {"ok", "info", "warning"}


def test_outside_a_repository_the_next_step_is_told(track, tmp_path):
    assert "git init" in track("doctor", cwd=tmp_path, code=68).stderr


def test_one_of_a_kind_is_one(repo, track):
    track("run", "-q", "true")
    track("tag", "latest", "good")
    said = track("doctor", "--verbose").stdout
    assert "1 annotation in 1 log\n" in said
    assert "the index holds 1 run\n" in said
