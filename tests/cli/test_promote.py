"""`git track promote` and `git track branch`: commits and branches out of runs."""

import json
import os
import shutil
import subprocess

import pytest
import recorded_code

CONFLICT, LOCAL, FAILED, WRONG, NOTHING = 85, 82, 69, 2, 1


@pytest.fixture
def made(repo, git, track):
    return recorded_code.Recorded(repo, git, track)


def hook(made, name, text):
    path = made.repo / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_change_of_a_run_becomes_an_ordinary_commit(made, git, track):
    def change():
        made.edit("line 3", "three")
        made.write("notes/new.txt", "new\n")
        os.unlink(made.repo / "old.py")

    run = made.run(change)
    track("promote", run[:7], "-m", "Three in words", "-m", "Since it is shorter.")
    assert git("log", "-1", "--format=%an %ae|%s|%b") == (
        f"Ann Example ann@example.org|Three in words|Since it is shorter.\n\nTrack-Run: {run}\n"
    )
    assert git("show", "--name-status", "--format=").split() == ["M", "model.py", "A", "notes/new.txt", "D", "old.py"]
    assert made.status() == []
    assert made.read("notes/new.txt") == "new\n"
    assert git("rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_only_the_change_of_the_run_is_committed_where_head_has_moved_on(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 27", "twenty-seven")
    made.commit("Further down")
    track("promote", run[:7], "-m", "Three")
    assert git("show", "--format=", "--unified=0").splitlines()[-2:] == ["-line 3", "+three"]
    assert "twenty-seven\n" in made.read()
    assert made.status() == []


def test_what_the_base_had_does_not_come_back_when_it_was_amended(made, git, track):
    made.write("secret.txt", "secret\n")
    made.write("kept.txt", "kept\n")
    made.commit("With a secret")
    run = made.run(lambda: made.edit("line 3", "three"))
    os.unlink(made.repo / "secret.txt")
    git("add", "-A")
    git("commit", "-q", "--amend", "-m", "Without")
    track("promote", run[:7], "-m", "Three")
    assert git("ls-tree", "--name-only", "HEAD", "secret.txt") == ""
    assert "three" in git("show", "HEAD:model.py")


def test_what_is_staged_stays_staged_and_is_not_in_the_commit(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.write("README", "staged\n")
    git("add", "README")
    made.edit("old", "edited", "old.py")
    made.write("untracked", "u\n")
    track("promote", run[:7], "-m", "Three")
    assert git("show", "--name-only", "--format=") == "model.py"
    assert made.status() == ["M  README", " M old.py", "?? untracked"]


def test_the_work_tree_in_which_the_run_was_made_is_clean_afterwards(made, git, track):
    made.edit("line 3", "three")
    made.write("new.txt", "new\n")
    run = json.loads(track("run", "--json", "true").stdout)["id"]
    track("promote", run[:7], "-m", "Three")
    assert made.status() == []
    made.edit("line 4", "four")
    assert made.status() == [" M model.py"]


def test_files_that_the_user_has_changed_further_stay_as_they_are(made, git, track):
    made.edit("line 3", "three")
    run = json.loads(track("run", "--json", "true").stdout)["id"]
    made.edit("line 20", "mine")
    said = track("promote", run[:7], "-m", "Three").stdout
    assert "left as they are: model.py" in said
    assert git("diff", "--unified=0").splitlines()[-2:] == ["-line 20", "+mine"]


def test_a_conflict_leaves_everything_as_it_was(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 3", "III")
    head = made.commit("Roman")
    said = track("promote", run[:7], "-m", "Three", code=CONFLICT).stderr
    assert "model.py" in said
    assert f"git track apply {run[:7]}" in said
    assert git("rev-parse", "HEAD") == head
    assert made.status() == []


def test_other_changes_staged_in_the_same_file_stop_it(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 20", "staged")
    git("add", "model.py")
    head = git("rev-parse", "HEAD")
    assert "model.py" in track("promote", run[:7], "-m", "Three", code=LOCAL).stderr
    assert git("rev-parse", "HEAD") == head
    assert made.status() == ["M  model.py"]


def test_hooks_run_as_for_any_commit_and_may_refuse(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    hook(made, "pre-commit", 'git diff --cached --name-only > .git/seen; echo "too short a number"; exit 1')
    head = git("rev-parse", "HEAD")
    assert "too short a number" in track("promote", run[:7], "-m", "Three", code=FAILED).stderr
    assert (made.repo / ".git" / "seen").read_text() == "model.py\n"
    assert git("rev-parse", "HEAD") == head
    assert made.status() == []
    hook(made, "pre-commit", "exit 0")
    hook(made, "commit-msg", 'echo "Checked-by: hook" >> "$1"')
    track("promote", run[:7], "-m", "Three")
    assert "Checked-by: hook" in git("log", "-1", "--format=%B")


def test_a_commit_is_signed_where_commits_are_signed(made, git, track, tmp_path):
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", f"{key}.pub"), ("commit.gpgSign", "true")):
        git("config", name, value)
    run = made.run(lambda: made.edit("line 3", "three"))
    track("promote", run[:7], "-m", "Three")
    assert "gpgsig" in git("cat-file", "commit", "HEAD")


def test_without_a_message_it_is_the_command_of_the_run(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"), "--name", "words")
    track("promote", "words")
    assert git("log", "-1", "--format=%s") == "words: true"
    assert run in git("log", "-1", "--format=%b")


def test_nothing_to_commit_is_said(made, git, track):
    clean = made.run()
    assert "no uncommitted changes" in track("promote", clean[:7], "-m", "x", code=NOTHING).stderr
    run = made.run(lambda: made.edit("line 3", "three"))
    track("promote", run[:7], "-m", "Three")
    head = git("rev-parse", "HEAD")
    assert "has all changes" in track("promote", run[:7], "-m", "Again", code=NOTHING).stderr
    assert git("rev-parse", "HEAD") == head


def test_nothing_to_commit_is_json_for_programs(made, git, track):
    run = made.run(lambda: None)
    said = json.loads(track("promote", run[:7], "--json", code=NOTHING).stdout)
    assert (said["commit"], said["files"]) == (None, [])


def test_a_dry_run_commits_nothing(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    head = git("rev-parse", "HEAD")
    assert "model.py" in track("promote", run[:7], "--dry-run").stdout
    assert json.loads(track("promote", run[:7], "-n", "--json").stdout)["commit"] is None
    assert git("rev-parse", "HEAD") == head


def test_a_merge_that_goes_on_is_not_concluded_by_it(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    git("checkout", "-q", "-b", "side")
    made.write("side.txt", "side\n")
    made.commit("Side")
    git("checkout", "-q", "main")
    made.write("main.txt", "main\n")
    made.commit("Main")
    git("merge", "-q", "--no-commit", "side")
    assert "merging" in track("promote", run[:7], "-m", "Three", code=WRONG).stderr
    assert (made.repo / ".git" / "MERGE_HEAD").exists()


def test_it_works_on_no_branch_and_where_nothing_was_committed(made, git, track, tmp_path):
    run = made.run(lambda: made.edit("line 3", "three"))
    git("checkout", "-q", "--detach")
    assert "no branch" in track("promote", run[:7], "-m", "Three").stdout
    fresh = tmp_path / "unborn"
    fresh.mkdir()
    git("init", "-q", "-b", "main", cwd=fresh)
    (fresh / "a.py").write_text("a\n")
    first = json.loads(track("run", "--json", "true", cwd=fresh).stdout)["id"]
    track("promote", first[:7], "-m", "First", cwd=fresh)
    assert git("log", "--format=%s", cwd=fresh) == "First"
    assert git("status", "--porcelain", cwd=fresh) == ""


def test_a_linked_work_tree_gets_the_commit_on_its_own_branch(made, git, track, tmp_path):
    run = made.run(lambda: made.edit("line 3", "three"))
    other = tmp_path / "linked"
    git("worktree", "add", "-q", "-b", "other", str(other))
    track("promote", run[:7], "-m", "Three", cwd=other)
    assert git("log", "-1", "--format=%s", "other") == "Three"
    assert git("log", "-1", "--format=%s", "main") == "The model"
    assert git("status", "--porcelain", cwd=other) == ""


def test_a_branch_is_told_as_json(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    said = json.loads(track("branch", run[:7], "three", "--json").stdout)
    assert said == {"run": run, "branch": "three", "commit": git("rev-parse", "three"), "switched": False}


def test_a_branch_is_made_at_the_snapshot(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    track("branch", run[:7], "three")
    assert "three\n" in git("show", "three:model.py")
    assert git("rev-parse", "three^") == git("rev-parse", "HEAD")
    assert git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert made.status() == []


def test_a_branch_of_that_name_is_not_moved_unasked(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    git("branch", "three")
    said = track("branch", run[:7], "three", code=FAILED).stderr
    assert "already exists" in said
    assert "--force" in said
    track("branch", run[:7], "three", "--force")
    assert "three\n" in git("show", "three:model.py")
    assert "no name of a branch" in track("branch", run[:7], "--", "-x", code=WRONG).stderr
    assert "not a valid branch name" in track("branch", run[:7], "a..b", code=FAILED).stderr


def test_switching_to_the_branch_refuses_as_git_does_and_then_makes_none(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 4", "mine")
    assert "overwritten" in track("branch", run[:7], "three", "--switch", code=FAILED).stderr
    assert git("branch", "--list", "three") == ""
    made.clean()
    track("branch", run[:7], "three", "--switch")
    assert git("rev-parse", "--abbrev-ref", "HEAD") == "three"
    assert "three\n" in made.read()
    assert made.status() == []


def test_what_is_not_in_a_sparse_checkout_stays_out_of_it(made, git, track):
    made.write("inside/a.py", "a\n")
    made.write("outside/b.py", "b\n")
    made.commit("Two folders")
    run = made.run(lambda: (made.edit("a", "A", "inside/a.py"), made.edit("b", "B", "outside/b.py")))
    git("sparse-checkout", "set", "inside")
    track("promote", run[:7], "-m", "Capitals")
    assert git("show", "HEAD:outside/b.py") == "B"
    assert made.read("inside/a.py") == "A\n"
    assert not (made.repo / "outside").exists()
    assert made.status() == []


def test_an_undo_after_it_takes_back_no_files(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    track("promote", run[:7], "-m", "Three")
    track("undo", code=WRONG)
    assert "three\n" in made.read()
    assert made.status() == []


def test_modes_links_and_folders_follow(made, git, track):
    def change():
        os.chmod(made.repo / "old.py", 0o755)
        os.symlink("model.py", made.repo / "link")
        os.unlink(made.repo / "README")
        made.write("deep/er/x", "x\n")

    run = made.run(change)
    track("promote", run[:7], "-m", "All kinds")
    assert made.status() == []
    assert os.stat(made.repo / "old.py").st_mode & 0o111
    assert os.readlink(made.repo / "link") == "model.py"
    assert made.read("deep/er/x") == "x\n"
    assert not (made.repo / "README").exists()


def test_the_hooks_of_gittrack_name_the_run_once_and_keep_the_link_through_an_amend(made, git, track):
    track("hooks", "install")
    run = made.run(lambda: made.edit("line 3", "three"))
    track("promote", run[:7], "-m", "Three")
    assert git("log", "-1", "--format=%B").count("Track-Run:") == 1
    git("commit", "-q", "--amend", "-m", "Three, said otherwise")
    assert track("ls", "-q", "--commit", "HEAD").stdout.split() == [run]


def test_undo_leaves_the_commit_to_git_and_says_so(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    track("tag", run[:7], "good")
    track("promote", run[:7], "-m", "Three")
    head = git("rev-parse", "HEAD")
    said = track("undo", code=WRONG).stderr
    assert f"made commit {head[:7]}" in said and "git reset --keep HEAD~1" in said
    assert json.loads(track("ls", "--json").stdout)[0]["tags"] == ["good"]
    assert "promote" in track("undo", "--list").stdout.splitlines()[0]
    git("reset", "-q", "--keep", "HEAD~1")
    assert track("undo").stdout.startswith("undone: git track tag")
    assert json.loads(track("ls", "--json").stdout)[0]["tags"] == []


def test_a_submodule_is_committed_where_the_run_had_it_and_stays_where_it_is(made, git, track, tmp_path):
    library = tmp_path / "library"
    git("init", "-q", str(library))
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=library)
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    made.commit("With a library")
    run = made.run(lambda: git("commit", "-q", "--allow-empty", "-m", "two", cwd=made.repo / "lib"))
    there = git("rev-parse", "HEAD", cwd=made.repo / "lib")
    git("submodule", "update", "-q", "--force")
    assert "submodules stay where they are: lib;" in track("promote", run[:7], "-m", "Library two").stderr
    assert git("rev-parse", "HEAD:lib") == there
    assert made.status() == [" M lib"]
    git("submodule", "update", "-q")
    assert made.status() == []
