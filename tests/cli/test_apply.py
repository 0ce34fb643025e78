"""`git track apply`: a run's uncommitted changes, merged into the work tree."""

import json
import os

import builder
import pytest
import recorded_code

APPLIED, CONFLICT, LOCAL = 0, 85, 82


@pytest.fixture
def made(repo, git, track):
    return recorded_code.Recorded(repo, git, track)


def test_changed_new_and_removed_files_come_back_and_the_index_stays(made, git, track):
    def change():
        made.edit("line 3", "three")
        made.write("notes/new.txt", "new\n")
        os.unlink(made.repo / "old.py")

    run = made.run(change)
    track("apply", run[:7])
    assert made.status() == [" M model.py", " D old.py", "?? notes/"]
    assert "three\n" in made.read()
    assert made.read("notes/new.txt") == "new\n"


def test_the_changes_are_merged_with_what_was_committed_since(made, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 27", "twenty-seven")
    made.commit("Further down")
    track("apply", run[:7])
    assert made.read() == recorded_code.TEXT.replace("line 3\n", "three\n", 1).replace("line 27", "twenty-seven")
    assert made.status() == [" M model.py"]


def test_a_conflict_is_shown_as_git_shows_it(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 3", "III")
    made.commit("Roman")
    said = track("apply", run[:7], code=CONFLICT).stderr
    assert "CONFLICT (content): Merge conflict in model.py" in said
    assert made.status() == ["UU model.py"]
    assert f"<<<<<<< your work tree\nIII\n=======\nthree\n>>>>>>> run {run[:7]}\n" in made.read()
    assert git("show", ":2:model.py").split("\n")[2] == "III"
    assert git("show", ":3:model.py").split("\n")[2] == "three"
    made.edit("<<<<<<< your work tree", "resolved")
    git("add", "model.py")
    assert made.status() == ["M  model.py"]


def test_an_undo_takes_a_conflict_back_from_files_and_index(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 3", "III")
    made.commit("Roman")
    track("apply", run[:7], code=CONFLICT)
    track("undo")
    assert made.status() == []
    assert "III\n" in made.read()
    assert git("ls-files", "-u") == ""


def test_a_file_that_was_removed_here_and_changed_there_is_a_conflict(made, git, track):
    run = made.run(lambda: made.edit("old", "changed", "old.py"))
    os.unlink(made.repo / "old.py")
    made.commit("Without it")
    assert "old.py" in track("apply", run[:7], code=CONFLICT).stderr
    assert made.status() == ["DU old.py"]
    assert made.read("old.py") == "changed\n"
    track("undo")
    assert made.status() == []


def test_files_with_changes_of_the_users_are_not_touched_unasked(made, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("line 27", "mine")
    mine = made.read()
    said = track("apply", run[:7], code=LOCAL).stderr
    assert "model.py" in said
    assert "--force" in said
    assert made.read() == mine
    track("apply", run[:7], "--force")
    assert "three\n" in made.read()
    assert "mine\n" in made.read()
    track("undo")
    assert made.read() == mine


def test_other_files_with_changes_stay_and_so_does_what_is_staged(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.edit("old", "edited", "old.py")
    made.write("README", "staged\n")
    git("add", "README")
    track("apply", run[:7])
    assert made.status() == ["M  README", " M model.py", " M old.py"]


def test_an_untracked_file_in_the_way_is_not_overwritten(made, track):
    run = made.run(lambda: made.write("new.txt", "of the run\n"))
    made.write("new.txt", "mine\n")
    assert "new.txt" in track("apply", run[:7], code=LOCAL).stderr
    assert made.read("new.txt") == "mine\n"


def test_what_is_there_already_is_said_and_left_alone(made, track):
    run = made.run(lambda: made.write("new.txt", "of the run\n"))
    made.write("new.txt", "of the run\n")
    before = os.stat(made.repo / "new.txt").st_mtime_ns
    assert "all changes of run" in track("apply", run[:7]).stdout
    assert os.stat(made.repo / "new.txt").st_mtime_ns == before


def test_a_run_from_a_clean_work_tree_has_nothing_to_apply(made, git, track):
    run = made.run()
    assert f"its code is commit {git('rev-parse', 'HEAD')[:7]}" in track("apply", run[:7]).stdout


def test_a_dry_run_says_it_and_does_nothing(made, track):
    run = made.run(lambda: (made.edit("line 3", "three"), made.write("new.txt", "new\n")))
    shown = track("apply", run[:7], "--dry-run").stdout
    assert "model.py" in shown
    assert "new.txt" in shown
    document = json.loads(track("apply", run[:7], "-n", "--json").stdout)
    assert {one["path"]: one["state"] for one in document["files"]} == {"model.py": "changed", "new.txt": "new"}
    assert document["applied"] is None
    assert made.status() == []


def test_modes_links_and_binary_files_come_as_they_were(made, track):
    def change():
        os.chmod(made.repo / "old.py", 0o755)
        os.symlink("model.py", made.repo / "link")
        made.write("weights.bin", bytes(range(256)) * 40)

    run = made.run(change)
    track("apply", run[:7])
    assert os.stat(made.repo / "old.py").st_mode & 0o111
    assert os.readlink(made.repo / "link") == "model.py"
    assert (made.repo / "weights.bin").read_bytes() == bytes(range(256)) * 40


def test_a_rename_in_the_run_and_one_since_both_hold(made, git, track):
    def change():
        git("mv", "model.py", "net.py")

    run = made.run(change)
    made.edit("line 20", "twenty")
    made.commit("Later")
    track("apply", run[:7])
    assert not (made.repo / "model.py").exists()
    assert "twenty\n" in made.read("net.py")


def test_line_ends_are_those_of_the_work_tree(made, git, track):
    git("config", "core.autocrlf", "true")
    made.clean()
    os.unlink(made.repo / "model.py")
    git("checkout", "-q", "--", "model.py")
    assert b"\r\n" in (made.repo / "model.py").read_bytes()

    def change():
        data = (made.repo / "model.py").read_bytes()
        (made.repo / "model.py").write_bytes(data.replace(b"line 3\r\n", b"three\r\n"))

    run = made.run(change)
    track("apply", run[:7])
    data = (made.repo / "model.py").read_bytes()
    assert b"three\r\n" in data
    assert data.count(b"\n") == data.count(b"\r\n")


def test_attributes_that_are_committed_decide_line_ends(made, track):
    made.write(".gitattributes", "*.bat text eol=crlf\n")
    made.write("go.bat", "one\r\ntwo\r\n")
    made.commit("For Windows")
    run = made.run(lambda: made.write("go.bat", "one\r\nzwei\r\n"))
    track("apply", run[:7])
    assert (made.repo / "go.bat").read_bytes() == b"one\r\nzwei\r\n"


def test_it_works_where_nothing_was_ever_committed(tmp_path, track, git):
    fresh = tmp_path / "unborn"
    fresh.mkdir()
    git("init", "-q", cwd=fresh)
    (fresh / "a.py").write_text("a\n")
    run = json.loads(track("run", "--json", "true", cwd=fresh).stdout)["id"]
    os.unlink(fresh / "a.py")
    track("apply", run[:7], cwd=fresh)
    assert (fresh / "a.py").read_text() == "a\n"
    assert git("status", "--porcelain", cwd=fresh) == "?? a.py"


def test_it_works_on_no_branch_and_in_a_linked_work_tree(made, git, track, tmp_path):
    run = made.run(lambda: made.edit("line 3", "three"))
    other = tmp_path / "linked"
    git("worktree", "add", "-q", "--detach", str(other))
    track("apply", run[:7], cwd=other)
    assert "three\n" in (other / "model.py").read_text()
    assert made.status() == []


def test_files_in_conflict_already_are_settled_first(made, git, track):
    run = made.run(lambda: made.edit("line 3", "three"))
    git("checkout", "-q", "-b", "side")
    made.edit("line 5", "fünf")
    made.commit("Side")
    git("checkout", "-q", "main")
    made.edit("line 5", "cinq")
    made.commit("Main")
    git("merge", "-q", "side", code=1)
    before = made.read()
    assert "in conflict already" in track("apply", run[:7], code=2).stderr
    assert made.read() == before


def test_it_works_in_a_sparse_checkout(made, git, track):
    made.write("inside/a.py", "a\n")
    made.write("outside/b.py", "b\n")
    made.commit("Two folders")
    run = made.run(lambda: (made.edit("a", "A", "inside/a.py"), made.edit("b", "B", "outside/b.py")))
    git("sparse-checkout", "set", "inside")
    track("apply", run[:7])
    assert made.read("inside/a.py") == "A\n"
    assert made.read("outside/b.py") == "B\n"


def test_a_submodule_is_left_as_it_is_and_said_to_be(made, git, track, tmp_path):
    library = tmp_path / "library"
    git("init", "-q", str(library))
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=library)
    git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    made.commit("With a library")

    def change():
        git("commit", "-q", "--allow-empty", "-m", "two", cwd=made.repo / "lib")
        made.edit("line 3", "three")

    run = made.run(change)
    git("submodule", "update", "-q", "--force")
    said = track("apply", run[:7]).stderr
    assert "submodules are left as they are: lib" in said
    assert made.status() == [" M model.py"]


def test_files_that_were_left_out_are_named(made, track):
    run = made.run(lambda: (made.edit("line 3", "three"), made.write(".env", "TOKEN=x\n")))
    assert ".env" in track("apply", run[:7]).stderr


def test_a_folder_in_the_place_of_a_file_stops_it(made, track):
    run = made.run(lambda: made.write("data", "a file\n"))
    made.write("data/file", "mine\n")
    assert "in the way" in track("apply", run[:7], code=LOCAL).stderr
    assert made.read("data/file") == "mine\n"


def test_a_shallow_clone_says_what_is_missing(made, git, track, tmp_path):
    run = made.run(lambda: made.edit("line 3", "three"))
    made.commit("Later", "--allow-empty")
    clone = tmp_path / "shallow"
    git("clone", "-q", "--depth", "1", f"file://{made.repo}", str(clone))
    git("fetch", "-q", "origin", "refs/track/runs/*:refs/track/runs/*", cwd=clone)
    git("remote", "remove", "origin", cwd=clone)
    assert "is not in this clone" in track("apply", run[:7], cwd=clone, code=None).stderr


def hostile_run(git, store, name):
    """A run whose snapshot adds one file in a place where none belongs."""
    base = git("rev-parse", "HEAD")
    blob = git("hash-object", "-w", "--stdin", text_in="#!/bin/sh\n")
    folder, _, file = name.rpartition("/")
    inner = git("mktree", text_in=f"100755 blob {blob}\t{file}\n")
    for part in reversed(folder.split("/")):
        outer = part
        tree, inner = inner, git("mktree", text_in=f"040000 tree {inner}\t{part}\n")
    rest = git("ls-tree", base)
    root = git("mktree", text_in=f"{rest}\n040000 tree {tree}\t{outer}\n")
    snapshot = git("commit-tree", root, "-p", base, "-m", "Snapshot")
    [run] = builder.write_runs(store, [builder.journal(1, {}, [0.5], base=base, snapshot=snapshot)])
    return run


@pytest.mark.parametrize("name", [".git/hooks/post-checkout", "../outside", ".GIT/config"])
def test_paths_that_lead_out_or_into_git_are_never_written(repo, git, track, store, name):
    run = hostile_run(git, store, name)
    head = git("rev-parse", "HEAD")
    before = sorted(
        path for path in repo.parent.rglob("*") if "track" not in path.parts and "objects" not in path.parts
    )
    assert track("apply", run[:7], "--force", code=None).returncode in (69, 83)
    assert track("promote", run[:7], "-m", "x", code=None).returncode in (69, 83)
    after = sorted(path for path in repo.parent.rglob("*") if "track" not in path.parts and "objects" not in path.parts)
    assert after == before
    assert git("rev-parse", "HEAD") == head
    assert git("status", "--porcelain") == ""
