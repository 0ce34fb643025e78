"""Snapshots in the states that a repository can be in: merges, locks, marks, submodules, sparse and linked trees."""

import os
import subprocess
from pathlib import Path

import pytest
from snapshotting import content, files, git_at, left, new_repository, planned, sh, shoot

from gittrack.git.snapshot import plan, take


@pytest.fixture
def conflict(repo: Path) -> Path:
    """A merge that stopped: both sides changed train.py, and one deleted README while the other changed it."""
    sh(repo, "checkout", "-q", "-b", "side")
    (repo / "train.py").write_text("side\n")
    (repo / "README").write_text("changed\n")
    sh(repo, "commit", "-qam", "side")
    sh(repo, "checkout", "-q", "main")
    (repo / "train.py").write_text("main\n")
    sh(repo, "rm", "-q", "README")
    sh(repo, "commit", "-qam", "main")
    sh(repo, "merge", "-q", "side", code=1)
    return repo


def test_conflicted_files_are_captured_with_their_markers(conflict: Path) -> None:
    snapshot = shoot(conflict)
    assert snapshot.state == "merging"
    text = content(conflict, snapshot, "train.py")
    assert text.startswith(b"<<<<<<<") and b"side" in text
    assert any("train.py" in note and "merging" in note for note in snapshot.notes)
    assert content(conflict, snapshot, "README") == b"changed\n"


def test_a_conflicted_file_that_was_removed_is_absent(conflict: Path) -> None:
    (conflict / "README").unlink()
    (conflict / "train.py").unlink()
    assert files(conflict, shoot(conflict)) == {}


def test_a_rebase_that_stopped_is_named(conflict: Path) -> None:
    sh(conflict, "merge", "--abort")
    sh(conflict, "rebase", "side", code=1)
    snapshot = shoot(conflict)
    assert snapshot.state == "rebasing"
    assert b"<<<<<<<" in content(conflict, snapshot, "train.py")


def test_a_cherry_pick_that_stopped_is_named(conflict: Path) -> None:
    sh(conflict, "merge", "--abort")
    sh(conflict, "cherry-pick", "side", code=1)
    assert shoot(conflict).state == "cherry-picking"


def test_an_index_lock_of_somebody_else_does_not_matter(repo: Path) -> None:
    (repo / "new").write_text("1")
    (repo / ".git/index.lock").write_text("")
    assert "new" in files(repo, shoot(repo))
    assert (repo / ".git/index.lock").exists()


def test_an_intent_to_add_entry_is_captured_and_stays_one(repo: Path) -> None:
    (repo / "meant").write_text("1")
    sh(repo, "add", "-N", "meant")
    assert content(repo, shoot(repo), "meant") == b"1"
    assert sh(repo, "status", "--porcelain") == " A meant"


def test_an_edit_within_the_tick_in_which_the_index_was_written_is_seen(repo: Path) -> None:
    """Same size and times: content alone tells, and git looks at it only where the index is as old as the file."""
    sh(repo, "config", "core.trustctime", "false")
    tick = 1_700_000_000_000_000_000
    (repo / "train.py").write_text("aaaa\n")
    os.utime(repo / "train.py", ns=(tick, tick))
    sh(repo, "add", "train.py")
    sh(repo, "commit", "-qm", "a")
    (repo / "train.py").write_text("bbbb\n")
    (repo / "new").write_text("1")
    os.utime(repo / "train.py", ns=(tick, tick))
    os.utime(repo / ".git/index", ns=(tick, tick))
    assert content(repo, shoot(repo), "train.py") == b"bbbb\n"


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_that_git_was_told_not_to_look_at_is_captured(repo: Path, mark: str) -> None:
    sh(repo, "update-index", mark, "train.py")
    assert shoot(repo).oid == sh(repo, "rev-parse", "HEAD")
    (repo / "train.py").write_text("hidden edit\n")
    assert sh(repo, "status", "--porcelain") == ""
    snapshot = shoot(repo)
    assert content(repo, snapshot, "train.py") == b"hidden edit\n"
    assert snapshot.modified == ("train.py",)
    assert sh(repo, "ls-files", "-v", "train.py")[0] in "hS"


def test_a_mark_that_is_set_later_or_an_edit_under_one_makes_a_new_plan(repo: Path) -> None:
    git = git_at(repo)
    first = plan(git)
    assert plan(git, previous=first) is first
    sh(repo, "update-index", "--assume-unchanged", "train.py")
    second = plan(git, previous=first)
    assert second is not first and plan(git, previous=second) is second
    (repo / "train.py").write_text("hidden\n")
    assert [entry.path for entry in plan(git, previous=second).entries] == ["train.py"]


def test_a_sparse_checkout_keeps_what_is_outside_and_captures_a_new_file_there(repo: Path) -> None:
    for name in ("in/a", "out/b"):
        (repo / name).parent.mkdir()
        (repo / name).write_text("1")
    sh(repo, "add", ".")
    sh(repo, "commit", "-qm", "two")
    sh(repo, "sparse-checkout", "set", "in")
    assert not (repo / "out").exists()
    assert shoot(repo).oid == sh(repo, "rev-parse", "HEAD")
    (repo / "out").mkdir()
    (repo / "out/new").write_text("2")
    (repo / "in/a").write_text("3")
    snapshot = shoot(repo)
    assert {"in/a", "out/b", "out/new"} <= set(files(repo, snapshot))
    assert content(repo, snapshot, "in/a") == b"3"


def test_a_sparse_index_is_understood(repo: Path) -> None:
    for name in ("in/a", "out/deep/b"):
        (repo / name).parent.mkdir(parents=True)
        (repo / name).write_text("1")
    sh(repo, "add", ".")
    sh(repo, "commit", "-qm", "two")
    sh(repo, "sparse-checkout", "set", "--cone", "--sparse-index", "in")
    (repo / "in/a").write_text("3")
    snapshot = shoot(repo)
    assert content(repo, snapshot, "in/a") == b"3" and "out/deep/b" in files(repo, snapshot)


def test_a_split_index_and_an_untracked_cache_are_left_as_they_are(repo: Path) -> None:
    sh(repo, "update-index", "--split-index")
    sh(repo, "config", "core.splitIndex", "true")
    sh(repo, "update-index", "--untracked-cache")
    sh(repo, "status")
    shared = sorted(path.name for path in (repo / ".git").glob("sharedindex.*"))
    (repo / "new").write_text("1")
    (repo / "train.py").write_text("2\n")
    snapshot = shoot(repo)
    assert content(repo, snapshot, "train.py") == b"2\n" and "new" in files(repo, snapshot)
    assert sorted(path.name for path in (repo / ".git").glob("sharedindex.*")) == shared


def test_hooks_and_a_file_system_monitor_are_not_run(repo: Path) -> None:
    marker = repo.parent / "ran"
    for name in ("post-index-change", "fsmonitor", "pre-commit", "post-commit"):
        hook = repo / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
        hook.chmod(0o755)
    sh(repo, "config", "core.fsmonitor", ".git/hooks/fsmonitor")
    (repo / "new").write_text("1")
    git = git_at(repo)
    snapshot = take(git, plan(git))
    assert "new" in files(repo, snapshot) and not marker.exists()


def test_a_linked_work_tree_has_its_own_snapshot(repo: Path) -> None:
    sh(repo, "worktree", "add", "-q", "../linked")
    linked = repo.parent / "linked"
    (linked / "here").write_text("1")
    (repo / "there").write_text("1")
    assert set(files(linked, shoot(linked))) == {"README", "train.py", "here"}
    assert set(files(repo, shoot(repo))) == {"README", "train.py", "there"}
    assert not list((repo / ".git/track/tmp").iterdir())


def test_a_linked_work_tree_inside_the_repository_is_left_out_and_named(repo: Path) -> None:
    sh(repo, "worktree", "add", "-q", "inside")
    snapshot = shoot(repo)
    assert "inside" not in files(repo, snapshot)
    assert "repository of its own" in left(snapshot, "inside").reason


def test_git_dir_and_work_tree_from_the_environment(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / ".git").rename(tmp_path / "elsewhere.git")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "not-this"))
    (repo / "new").write_text("1")
    monkeypatch.chdir(tmp_path)
    git = git_at(repo)
    assert "new" in git.run("ls-tree", "--name-only", str(take(git, plan(git)).oid)).decode()


def test_a_separate_git_directory_with_core_worktree(tmp_path: Path) -> None:
    sh(tmp_path, "init", "-q", "--separate-git-dir", "store", "tree")
    tree = tmp_path / "tree"
    (tree / "a").write_text("1")
    assert set(files(tree, shoot(tree))) == {"a"}


def test_a_bare_repository_has_its_head_and_says_so(repo: Path, tmp_path: Path) -> None:
    sh(tmp_path, "clone", "-q", "--bare", str(repo), "bare.git")
    bare = git_at(tmp_path / "bare.git")
    snapshot = take(bare, plan(bare))
    assert snapshot.oid == snapshot.base == sh(repo, "rev-parse", "HEAD")
    assert "bare" in snapshot.notes[0]


@pytest.fixture
def superproject(repo: Path, tmp_path: Path) -> Path:
    library = new_repository(tmp_path / "library")
    (library / "lib.py").write_text("1\n")
    sh(library, "add", ".")
    sh(library, "commit", "-qm", "library")
    sh(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    sh(repo, "commit", "-qm", "with library")
    return repo


def test_a_clean_submodule_is_no_change(superproject: Path) -> None:
    snapshot = shoot(superproject)
    assert snapshot.oid == snapshot.base and not snapshot.left_out


def test_uncommitted_work_in_a_submodule_is_named(superproject: Path) -> None:
    (superproject / "lib/lib.py").write_text("2\n")
    (superproject / "lib/new.py").write_text("2\n")
    snapshot = shoot(superproject)
    entry = left(snapshot, "lib")
    assert "changed and untracked" in entry.reason and not entry.include
    assert files(superproject, snapshot)["lib"] == "160000"


def test_another_commit_in_a_submodule_is_captured_and_said(superproject: Path) -> None:
    (superproject / "lib/lib.py").write_text("2\n")
    sh(superproject / "lib", "commit", "-qam", "local")
    snapshot = shoot(superproject)
    assert sh(superproject, "rev-parse", f"{snapshot.oid}:lib") == sh(superproject / "lib", "rev-parse", "HEAD")
    assert any("lib" in note and "push" in note for note in snapshot.notes)


def test_a_removed_submodule_and_ignore_settings_of_submodules(superproject: Path) -> None:
    sh(superproject, "config", "submodule.lib.ignore", "all")
    sh(superproject, "config", "diff.ignoreSubmodules", "all")
    (superproject / "lib/lib.py").write_text("2\n")
    assert left(shoot(superproject), "lib")
    subprocess.run(["rm", "-rf", str(superproject / "lib")], check=True)
    assert "lib" not in files(superproject, shoot(superproject))


def test_inside_a_submodule_the_submodule_is_the_repository(superproject: Path) -> None:
    (superproject / "lib/new.py").write_text("2\n")
    assert set(files(superproject / "lib", shoot(superproject / "lib"))) == {"lib.py", "new.py"}


def test_of_a_thousand_files_one_is_hashed(tmp_path: Path) -> None:
    """The time is measured in docs/benchmarks.md: 0.1 s for 20,000 files. Here that nothing is written twice."""
    repo = new_repository(tmp_path / "big")
    for folder in range(10):
        (repo / str(folder)).mkdir()
        for number in range(100):
            (repo / f"{folder}/{number}").write_text("x")
    sh(repo, "add", ".")
    sh(repo, "commit", "-qm", "big")
    (repo / "3/7").write_text("changed")
    before = int(sh(repo, "count-objects").split()[0])
    snapshot = shoot(repo)
    assert int(sh(repo, "count-objects").split()[0]) - before == 4  # blob, two trees, commit
    assert snapshot.modified == ("3/7",) and len(planned(repo).entries) == 1


def test_a_sha256_repository(tmp_path: Path) -> None:
    repo = new_repository(tmp_path / "long", "--object-format=sha256")
    (repo / "a").write_text("1")
    first = shoot(repo)
    assert len(str(first.oid)) == 64 and first.base is None
    sh(repo, "add", ".")
    sh(repo, "commit", "-qm", "a")
    (repo / "a").unlink()
    (repo / "b").write_text("2")
    assert set(files(repo, shoot(repo))) == {"b"}


def test_a_partial_clone_fetches_nothing_for_a_snapshot(repo: Path, tmp_path: Path) -> None:
    sh(repo, "config", "uploadpack.allowFilter", "true")
    (repo / "train.py").write_text("2\n")
    sh(repo, "commit", "-qam", "second")
    sh(tmp_path, "clone", "-q", "--filter=blob:none", "--sparse", repo.as_uri(), "partial")
    partial = tmp_path / "partial"
    missing = sh(partial, "rev-list", "--objects", "--all", "--missing=print").count("?")
    assert missing
    (partial / "new").write_text("1")
    assert "new" in files(partial, shoot(partial))
    assert sh(partial, "rev-list", "--objects", "--all", "--missing=print").count("?") == missing
