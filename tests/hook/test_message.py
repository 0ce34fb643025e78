"""Which commits get a `Track-Run:` line, and which run a commit is linked with afterwards."""

import contextlib
import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest
from hook_helpers import put_hook

from gittrack.git.discover import discover
from gittrack.runs import links

TRAINED = "print('trained better')\n"


@pytest.fixture
def trained(hooked: Path, track) -> str:
    """The id of a run of changed code; the change is in the index."""
    (hooked / "train.py").write_text(TRAINED)
    return run_of(hooked, track)


def run_of(repo: Path, track) -> str:
    track("run", "-q", "true", cwd=repo)
    found = json.loads(track("ls", "--json", "-n", "1", cwd=repo).stdout)
    subprocess.run(["git", "add", "-A"], cwd=repo, check=True)
    return str((found["runs"] if isinstance(found, dict) else found)[0]["id"])


def linked(repo: Path, rev: str = "HEAD") -> list[str]:
    oid = subprocess.run(["git", "rev-parse", rev], cwd=repo, capture_output=True, text=True, check=True).stdout.strip()
    return links.runs_of(discover(str(repo), {}), oid)


def test_a_commit_of_what_a_run_was_made_of_names_it(trained, commit, git, hooked):
    done = commit("-q", "-m", "A better training\n\nWith reasons.")
    assert done.stderr == ""
    assert git("log", "-1", "--format=%B") == f"A better training\n\nWith reasons.\n\nTrack-Run: {trained}\n"
    assert git("log", "-1", "--format=%(trailers:key=Track-Run,valueonly)").strip() == trained
    assert linked(hooked) == [trained]


def test_other_commits_are_left_as_they_are(trained, commit, git, hooked):
    (hooked / "train.py").write_text("print('something else')\n")
    assert commit("-q", "-a", "-m", "Else").stderr == ""
    assert git("log", "-1", "--format=%B") == "Else\n"
    assert linked(hooked) == []


def test_a_run_is_known_when_its_code_is_committed_in_two_steps(hooked, commit, git, track):
    (hooked / "new.py").write_text("x = 1\n")
    (hooked / "train.py").write_text(TRAINED)
    run = run_of(hooked, track)
    git("reset", "-q")
    git("add", "new.py")
    commit("-q", "-m", "One")
    assert "Track-Run" not in git("log", "-1", "--format=%B")
    commit("-q", "-a", "-m", "Two")
    assert run in git("log", "-1", "--format=%B")


def test_of_several_runs_of_the_same_code_the_newest_that_ended_well_is_named(trained, commit, git, hooked, track):
    second = run_of(hooked, track)
    track("run", "-q", "false", code=1)
    commit()
    assert git("log", "-1", "--format=%(trailers:key=Track-Run,valueonly)").strip() == second != trained


def test_a_deleted_run_is_not_named(trained, commit, git, track):
    track("rm", trained)
    commit()
    assert "Track-Run" not in git("log", "-1", "--format=%B")


def test_in_an_editor_it_stands_before_comments_and_diff(trained, commit, git, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/seen\nsed -i \'1s/^/Written by hand/\' "$1"\n')
    editor.chmod(0o755)
    git("config", "core.commentChar", ";")
    assert commit("-v", GIT_EDITOR=str(editor)).returncode == 0
    assert git("log", "-1", "--format=%B") == f"Written by hand\n\nTrack-Run: {trained}\n"
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith(f"\n\nTrack-Run: {trained}\n")
    assert seen.index("Track-Run") < seen.index("; Please enter")


@pytest.mark.parametrize("options", [(), ("-v",)])
def test_an_editor_that_is_left_without_a_word_makes_no_commit(trained, commit, git, options):
    done = commit(*options, GIT_EDITOR="true") if options else commit("--", GIT_EDITOR="true")
    assert done.returncode == 1 and "empty commit message" in done.stderr
    assert git("log", "--oneline").count("\n") == 0


def test_without_the_commit_msg_hook_it_is_offered_as_a_remark(trained, commit, git, hooked, tmp_path):
    (hooked / ".git" / "hooks" / "commit-msg").unlink()
    assert commit("--", GIT_EDITOR="true").returncode == 1
    assert commit("--", GIT_EDITOR="sed -i -e '1s/^/By hand/' -e 's/^# .*To say so: //'").returncode == 0
    assert git("log", "-1", "--format=%B") == f"By hand\n\nTrack-Run: {trained}\n"


def test_an_amended_message_does_not_get_it_twice(trained, commit, git, hooked):
    commit("-q", "-m", "First try")
    commit("-q", "--amend", "-m", "Second try")
    commit("-q", "--amend", "--no-edit")
    assert git("log", "-1", "--format=%B").count("Track-Run") == 1
    assert linked(hooked) == [trained]


def test_a_link_survives_amend_and_rebase_without_the_line(trained, commit, git, hooked):
    commit("-q", "-m", "The model")
    git("checkout", "-q", "-b", "side", "HEAD~1")
    (hooked / "README").write_text("more\n")
    commit("-q", "-a", "-m", "Aside")
    git("checkout", "-q", "main")
    (hooked / "train.py").write_text("print('other')\n")
    commit("-q", "-a", "--amend", "-m", "Without a word")
    assert "Track-Run" not in git("log", "-1", "--format=%B")
    assert linked(hooked) == [trained]
    git("rebase", "-q", "side")
    assert linked(hooked) == [trained]


def test_merges_and_squashes_get_none(trained, commit, git, hooked):
    git("checkout", "-q", "-b", "side")
    commit("-q", "--no-verify", "-m", "Side")
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "--no-edit", "side")
    assert "Track-Run" not in git("log", "-1", "--format=%B")
    git("reset", "-q", "--hard", "HEAD~1")
    git("merge", "-q", "--squash", "side")
    commit("-q", "--no-edit")
    assert git("log", "-1", "--format=%B").count("\nTrack-Run:") == 0
    assert linked(hooked) == [trained]


def test_the_index_of_the_user_is_not_written(trained, commit, git, hooked):
    before = (hooked / ".git" / "index").read_bytes()
    message = hooked / "message"
    message.write_text("Subject\n")
    subprocess.run([str(hooked / ".git" / "hooks" / "prepare-commit-msg"), "message"], cwd=hooked, check=True)
    assert f"Track-Run: {trained}" in message.read_text()
    assert (hooked / ".git" / "index").read_bytes() == before


def test_a_run_of_an_archive_is_known(trained, commit, git, hooked, track):
    track("archive", trained)
    assert git("for-each-ref", "refs/track/code") == ""
    commit()
    assert trained in git("log", "-1", "--format=%B")


def test_a_table_of_trees_that_is_damaged_or_cannot_be_written_costs_nothing(trained, commit, git, hooked):
    cache = hooked / ".git" / "track" / "cache" / "trees.sqlite"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"garbage " * 1000)
    assert commit("-q", "-m", "One").stderr == ""
    assert trained in git("log", "-1", "--format=%B")
    commit("-q", "--amend", "-m", "One again")
    assert trained in git("log", "-1", "--format=%B")


def test_in_a_linked_worktree(trained, commit, git, hooked, tmp_path):
    other = tmp_path / "other"
    git("worktree", "add", "-q", str(other))
    (other / "train.py").write_text(TRAINED)
    assert commit("-q", "-a", "-m", "There", cwd=other).stderr == ""
    assert trained in git("log", "-1", "--format=%B", cwd=other)
    (other / "m.pt").write_bytes(os.urandom(10))
    git("add", "m.pt", cwd=other)
    assert commit(cwd=other).returncode == 1


def test_a_clone_without_runs_is_left_without_a_trace(hooked, commit, tmp_path):
    put_hook(hooked / ".git" / "hooks", "post-commit")
    (hooked / ".git" / "hooks" / "pre-commit").unlink()
    (hooked / "README").write_text("more\n")
    assert commit("-q", "-a", "-m", "x").stderr == ""
    assert not (hooked / ".git" / "track").exists()


def test_a_rebase_of_many_commits_does_not_wait_for_us_at_each(trained, commit, git, hooked):
    commit("-q", "-m", "The model")
    for number in range(3):
        (hooked / f"{number}").write_text("x\n")
        git("add", f"{number}")
        commit("-q", "-m", f"Number {number}")
    put_hook(hooked / ".git" / "hooks", "prepare-commit-msg", "/bin/false")
    put_hook(hooked / ".git" / "hooks", "post-commit", "/bin/false")
    git("checkout", "-q", "-b", "side", "HEAD~4")
    git("commit", "-q", "--no-verify", "--allow-empty", "-m", "Aside")
    done = subprocess.run(["git", "rebase", "-q", "side", "main"], cwd=hooked, capture_output=True, text=True)
    assert done.returncode == 0 and "failed" not in done.stderr, done.stderr
    assert linked(hooked, "HEAD~3") == [trained]


def test_a_rebase_that_waits_elsewhere_is_no_matter_of_this_work_tree(trained, commit, git, hooked, tmp_path):
    other = tmp_path / "other"
    git("worktree", "add", "-q", "-b", "side", str(other))
    (hooked / ".git" / "rebase-merge").mkdir()
    (other / "train.py").write_text(TRAINED)
    assert commit("-q", "-a", "-m", "There", cwd=other).stderr == ""
    assert trained in git("log", "-1", "--format=%B", cwd=other)
    assert linked(other) == [trained]


@pytest.mark.parametrize("where", ["hooks", "a linked worktree"])
def test_commits_of_a_rebase_get_no_line_wherever_hooks_are(trained, commit, git, hooked, tmp_path, where):
    commit("-q", "-m", "The model")
    git("-c", "core.hooksPath=/dev/null", "commit", "-q", "--amend", "-m", "Without a word")
    links.rewritten(discover(str(hooked), {}), [(git("rev-parse", "HEAD@{1}"), git("rev-parse", "HEAD"))])
    place = hooked
    if where == "hooks":
        os.rename(hooked / ".git" / "hooks", tmp_path / "hooks")
        git("config", "core.hooksPath", str(tmp_path / "hooks"))
    else:
        place = tmp_path / "other"
        git("worktree", "add", "-q", "-b", "there", str(place))
    git("rebase", "-q", "--force-rebase", "--exec", "true", "HEAD~1", cwd=place, GIT_EDITOR="true")
    git(
        "rebase",
        "-q",
        "-i",
        "--force-rebase",
        "HEAD~1",
        cwd=place,
        GIT_SEQUENCE_EDITOR="sed -i s/pick/reword/",
        GIT_EDITOR="true",
    )
    assert "Track-Run" not in git("log", "-1", "--format=%B", cwd=place)
    assert linked(place) == [trained]


def test_a_template_that_is_left_as_it_is_makes_no_commit(trained, commit, git, tmp_path):
    (tmp_path / "template").write_text("Why:\n\nHow:\n")
    git("config", "commit.template", str(tmp_path / "template"))
    done = commit("--", GIT_EDITOR="true")
    assert done.returncode == 1, git("log", "-1")
    assert git("log", "--oneline").count("\n") == 0
    assert commit("--", GIT_EDITOR="sed -i -e 's/^Why:/Because/' -e 's/^# .*To say so: //'").returncode == 0
    assert git("log", "-1", "--format=%(trailers:key=Track-Run,valueonly)").strip() == trained


@pytest.mark.parametrize("archived", [True, False])
def test_without_an_index_the_run_is_found_by_refs_and_no_index_is_made(trained, commit, git, hooked, track, archived):
    track("run", "-q", "--", "false", code=1)
    track("run", "-q", "--name", "gone", "true")
    track("rm", "gone")
    if archived:
        track("archive", "--all", "--yes")
    else:
        track("archive", "gone")
    index = hooked / ".git" / "track" / "index.sqlite"
    index.unlink()
    assert commit("-q", "-m", "The model").stderr == ""
    assert git("log", "-1", "--format=%(trailers:key=Track-Run,valueonly)").strip() == trained
    with contextlib.closing(sqlite3.connect(index)) as table:
        assert table.execute("SELECT count(*) FROM runs").fetchone() == (0,)
