"""Whatever was changed can be seen and taken back."""

import json

import pytest

ANN = "Ann Example <ann@example.org>"


@pytest.fixture
def named(track):
    """One run called `one`; gives what `ls --json` says about all runs."""
    track("run", "--quiet", "--name", "one", "true")

    def read() -> list[dict]:
        return json.loads(track("ls", "--json").stdout)

    return read


@pytest.mark.parametrize(
    ("words", "key", "after"),
    [
        (["rename", "one", "two"], "name", "two"),
        (["tag", "one", "good"], "tags", ["good"]),
        (["note", "one", "a note"], "notes", ["a note"]),
        (["baseline", "one"], "baseline", True),
    ],
)
def test_an_annotation_is_taken_back_and_given_again(named, track, words, key, after):
    [before] = named()
    track(*words)
    assert named()[0][key] == after
    assert track("undo").stdout.startswith("undone: git track " + words[0])
    assert named()[0][key] == before[key]
    track("undo")
    assert named()[0][key] == after


def test_a_deleted_run_comes_back(named, track):
    track("rm", "one")
    assert named() == []
    track("undo")
    assert len(named()) == 1


def test_an_earlier_change_is_named(named, track):
    track("tag", "one", "good")
    track("note", "one", "stays")
    operation = json.loads(track("log", "--json").stdout)[1]
    assert operation["what"] == "git track tag one good"
    track("undo", operation["id"])
    assert (named()[0]["tags"], named()[0]["notes"]) == ([], ["stays"])


def test_an_unknown_operation_is_told_as_such(named, track):
    done = track("undo", "ffffffffffff", code=66)
    assert "there is no operation" in done.stderr
    assert "git track undo --list" in done.stderr


def test_the_list_is_the_log(named, track):
    track("tag", "one", "good")
    assert track("undo", "--list", "--json").stdout == track("log", "--json").stdout
    assert named()[0]["tags"] == ["good"]


def test_the_log_of_a_run_is_what_was_said_about_it(named, track):
    track("tag", "one", "good")
    track("note", "one", "a note")
    lines = track("log", "one").stdout.splitlines()
    assert [line.split("ago  ")[1] for line in lines] == [
        f"{ANN}: note a note  [claimed]",
        f"{ANN}: tag good  [claimed]",
    ]
    said = json.loads(track("log", "one", "--json").stdout)
    assert {op["who"] for op in said} == {ANN}


def test_the_log_can_be_cut_short(named, track):
    track("tag", "one", "good")
    track("tag", "one", "better")
    assert len(track("log", "-n", "1").stdout.splitlines()) == 1


def test_outside_a_repository_it_says_so(track, tmp_path):
    assert "error: " in track("log", cwd=tmp_path, code=68).stderr
