"""`git track archive` and `unarchive`, as they are used."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., str]
Track = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def runs(track: Track, git: Git) -> list[str]:
    """Three runs called a, b and c, of which b has failed; their ids, the oldest first."""
    for name in "abc":
        track("run", "--name", name, "--", "false" if name == "b" else "true", code=None)
    return [one["id"] for one in json.loads(track("ls", "--json", "--sort", "created").stdout)]


def refs(git: Git) -> set[str]:
    return {ref.rpartition("/")[2] for ref in git("for-each-ref", "--format=%(refname)", "refs/track/runs").split()}


def test_archived_runs_are_listed_and_shown_as_before(track: Track, git: Git, runs: list[str]) -> None:
    before = track("ls").stdout
    shown = [track(*args).stdout for args in (("show", "a", "--json"), ("logs", "a"), ("compare", "a", "c"))]
    done = track("archive", "a", "b")
    assert done.stdout == "2 runs archived\n"
    assert refs(git) == {runs[2]}
    assert [line.split()[:2] for line in track("ls").stdout.splitlines()] == [
        line.split()[:2] for line in before.splitlines()
    ]
    again = [track(*args).stdout for args in (("show", "a", "--json"), ("logs", "a"), ("compare", "a", "c"))]
    was, now = json.loads(shown[0]), json.loads(again[0])
    assert (was["annotations"].pop("archived"), now["annotations"].pop("archived")) == (False, True)
    assert now == was
    assert again[1:] == shown[1:]
    git("fsck", "--strict")


def test_runs_are_chosen_by_name_by_an_expression_or_by_age(track: Track, git: Git, runs: list[str]) -> None:
    assert track("archive", "--older", "1d").stdout == "nothing to change\n"
    assert track("archive", "--where", "status = failed").stdout == "1 run archived\n"
    assert refs(git) == {runs[0], runs[2]}
    assert track("archive", "--older", "0s", "--where", "name = c").stdout == "1 run archived\n"
    assert refs(git) == {runs[0]}
    track("rm", "a")
    assert track("archive", "--all").stdout == "1 run archived\n"
    assert refs(git) == set()
    track("restore", "a")
    assert len(json.loads(track("ls", "--json").stdout)) == 3


def test_a_dry_run_says_what_would_go_and_changes_nothing(track: Track, git: Git, runs: list[str]) -> None:
    before = git("for-each-ref")
    said = track("archive", "--all", "--dry-run").stdout
    assert said.splitlines() == [
        "3 runs would be archived", f"  {runs[0][:7]}  true", f"  {runs[1][:7]}  false", f"  {runs[2][:7]}  true"
    ]  # fmt: skip
    document = json.loads(track("archive", "--all", "--dry-run", "--json").stdout)
    assert document == {"archived": runs, "left": {}, "dry_run": True}
    assert git("for-each-ref") == before


def test_done_again_nothing_changes_and_it_is_no_failure(track: Track, runs: list[str]) -> None:
    track("archive", "a")
    assert track("archive", "a").stdout == f"nothing to change\n  {runs[0][:7]} stays: it is archived already\n"
    assert json.loads(track("archive", "a", "b", "--json").stdout) == {
        "archived": [runs[1]], "dry_run": False, "left": {runs[0]: "it is archived already"}
    }  # fmt: skip
    assert track("unarchive", "c").stdout == f"nothing to change\n  {runs[2][:7]} stays: it is not archived\n"


def test_unarchived_runs_have_refs_with_the_same_commits(track: Track, git: Git, runs: list[str]) -> None:
    before = git("for-each-ref", "refs/track/runs")
    track("archive", "--all")
    git("gc", "-q", "--prune=now")
    assert track("unarchive", "a", "b", "c").stdout == "3 runs unarchived\n"
    assert git("for-each-ref", "refs/track/runs") == before
    assert json.loads(track("unarchive", "a", "--json").stdout) == {
        "unarchived": [], "left": {runs[0]: "it is not archived"}
    }  # fmt: skip
    git("fsck", "--strict")


def test_an_archive_is_undone(track: Track, git: Git, runs: list[str]) -> None:
    track("archive", "a", "b")
    assert track("undo").stdout == f"undone: git track archive a b ({runs[0][:7]}, {runs[1][:7]})\n"
    assert refs(git) == set(runs)
    track("undo")
    assert refs(git) == {runs[2]}


def test_archived_runs_are_annotated_and_checked_out(repo: Path, track: Track, git: Git, tmp_path: Path) -> None:
    (repo / "train.py").write_text("print('changed')\n")
    track("run", "--name", "a", "--", sys.executable, "train.py")
    track("archive", "a")
    git("checkout", "-q", "train.py")
    git("gc", "-q", "--prune=now")
    track("tag", "a", "good")
    track("rename", "a", "better")
    (row,) = json.loads(track("ls", "--where", "tags = good", "--json").stdout)
    assert row["name"] == "better"
    track("checkout", "better", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "train.py").read_text() == "print('changed')\n"
    git("fsck", "--strict")


def test_what_is_not_said_clearly_is_refused(track: Track, runs: list[str]) -> None:
    for args in ([], ["a", "--all"], ["--all", "--older", "1d"], ["a", "--where", "status = failed"]):
        assert "git track help archive" in track("archive", *args, code=2).stderr
    assert "--older 30d" in track("archive", "--older", "soon", code=2).stderr


def test_a_run_that_goes_on_is_refused_when_it_is_named(repo: Path, track: Track) -> None:
    running = subprocess.Popen(
        ["git-track", "run", "--name", "long", "--", "sh", "-c", "echo up; sleep 600"],
        cwd=repo, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert b"up" in running.stdout.readline()
        refused = track("archive", "long", code=2)
        assert "stays as it is" in refused.stderr
        assert track("archive", "--all").stdout == "nothing to change\n"
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(60)


def test_the_command_is_completed_with_runs(track: Track, runs: list[str]) -> None:
    words = track("__complete", "archive", "").stdout
    assert "\nb\t" in words
    assert "--older" in track("__complete", "archive", "--o").stdout
    assert runs[0][:7] in track("__complete", "unarchive", "").stdout


def test_runs_of_linked_work_trees_and_of_an_unborn_branch_are_archived(
    repo: Path, track: Track, git: Git, tmp_path: Path
) -> None:
    git("worktree", "add", "-q", str(tmp_path / "linked"))
    (tmp_path / "linked" / "train.py").write_text("print('linked')\n")
    track("run", "--name", "linked", "--", "true", cwd=tmp_path / "linked")
    track("run", "--name", "main", "--", "true")
    git("checkout", "-q", "--orphan", "unborn")
    track("run", "--name", "unborn", "--", "true")
    git("checkout", "-q", "-f", "main")
    assert track("archive", "--all", cwd=tmp_path / "linked").stdout == "3 runs archived\n"
    assert git("for-each-ref", "refs/track/runs", "refs/track/code") == ""
    git("gc", "-q", "--prune=now")
    for name, text in (
        ("linked", "print('linked')\n"),
        ("main", 'print("trained")\n'),
        ("unborn", 'print("trained")\n'),
    ):
        track("checkout", name, "-o", str(tmp_path / name))
        assert (tmp_path / name / "train.py").read_text() == text
    assert track("unarchive", "linked", "main", "unborn").stdout == "3 runs unarchived\n"
    git("fsck", "--strict")
    assert track("doctor").stdout.strip().endswith("all in order")


def test_a_run_without_code_is_archived(repo: Path, track: Track, git: Git) -> None:
    (repo / "train.py").write_text("import gittrack\ngittrack.init(snapshot=False).finish()\n")
    subprocess.run([sys.executable, "train.py"], cwd=repo, check=True)
    assert track("archive", "--all").stdout == "1 run archived\n"
    assert track("unarchive", "latest").stdout == "1 run unarchived\n"
    git("fsck", "--strict")
