"""What people say about runs, as they say it: on the command line, seen in the lists."""

import json

import pytest


@pytest.fixture
def runs(track):
    """Two runs; gives a reader of what `ls --json` says, newest first."""
    track("run", "--quiet", "--name", "first", "true")
    track("run", "--quiet", "false", code=1)

    def read(*args: str) -> list[dict]:
        return json.loads(track("ls", "--json", *args).stdout)

    return read


def test_a_run_is_renamed_and_loses_its_name(runs, track):
    track("rename", "latest", "second")
    assert [run["name"] for run in runs()] == ["second", "first"]
    track("rename", "second", "--clear")
    assert [run["name"] for run in runs()] == [None, "first"]


def test_a_name_that_looks_like_a_keyword_is_refused(runs, track):
    assert "error: " in track("rename", "latest", "best", code=2).stderr


def test_a_name_that_another_run_has_is_refused_unless_forced(runs, track):
    assert "--force" in track("rename", "latest", "first", code=2).stderr
    track("rename", "latest", "first", "--force")
    assert [run["name"] for run in runs()] == ["first", "first"]


def test_rename_needs_a_name_or_clear(runs, track):
    assert "hint: git track rename RUN NAME" in track("rename", "latest", code=2).stderr
    track("rename", "latest", "x", "--clear", code=2)


def test_tags_come_and_go(runs, track):
    track("tag", "first", "good", "paper")
    assert track("tag", "first", "good").stdout == "nothing to change\n"
    assert sorted(runs()[1]["tags"]) == ["good", "paper"]
    track("untag", "first", "good")
    assert runs()[1]["tags"] == ["paper"]
    assert "tags there: paper" in track("untag", "first", "bad", code=2).stderr


def test_a_note_is_words_or_comes_through_a_pipe(runs, track):
    track("note", "first", "learning", "rate", "too", "high")
    track("note", "first", text_in="from a pipe\n")
    track("note", "first", "-", text_in="from a dash\n")
    assert runs()[1]["notes"] == ["learning rate too high", "from a pipe", "from a dash"]


def test_an_empty_note_is_refused(runs, track):
    assert "empty" in track("note", "first", text_in="", code=2).stderr


def test_a_baseline_moves_from_run_to_run(runs, track):
    track("baseline", "first")
    track("baseline", "latest")
    assert [run["baseline"] for run in runs()] == [True, False]
    track("baseline", "latest", "--clear")
    assert [run["baseline"] for run in runs()] == [False, False]


def test_a_deleted_run_is_in_no_list_and_comes_back(runs, track):
    track("rm", "first")
    assert len(runs()) == 1
    assert [run["deleted"] for run in runs("--deleted")] == [False, True]
    assert "git track restore" in track("tag", "first", "x", code=66).stderr
    track("restore", "first")
    assert len(runs()) == 2


def test_runs_are_deleted_by_what_they_are(runs, track):
    track("rm", "--where", "status = failed")
    assert [run["name"] for run in runs()] == ["first"]


def test_rm_needs_runs_or_an_expression_and_not_both(track):
    track("rm", code=2)
    track("rm", "latest", "--where", "status = failed", code=2)


def test_a_checkpoint_cannot_be_annotated(runs, track):
    assert "is a checkpoint" in track("tag", "first@3", "good", code=2).stderr


def test_an_unknown_run_has_its_own_exit_code_and_a_next_step(runs, track):
    done = track("tag", "frist", "good", code=66)
    assert "hint: did you mean first?" in done.stderr


def test_json_tells_what_was_changed(runs, track):
    said = json.loads(track("tag", "first", "good", "--json").stdout)
    assert said == {"runs": [runs()[1]["id"]], "changed": 1}


def test_annotations_are_there_for_plain_git(runs, track, git):
    track("tag", "first", "good")
    [ref] = git("for-each-ref", "--format=%(refname)", "refs/track/log").splitlines()
    assert '"value":"good"' in git("show", f"{ref}:ops/000/00.jsonl")
