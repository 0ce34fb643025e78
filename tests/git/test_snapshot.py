"""The main line of snapshots: what is captured, and that nothing of the user's is touched."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from snapshotting import content, files, git_at, left, planned, sh, shoot

from gittrack import errors
from gittrack.git import snapshot as snapshots
from gittrack.git.command import Git
from gittrack.git.snapshot import plan, take


def test_a_clean_tree_makes_no_commit_and_head_is_the_snapshot(repo: Path) -> None:
    snapshot = shoot(repo)
    assert snapshot.oid == snapshot.base == sh(repo, "rev-parse", "HEAD")
    assert sh(repo, "count-objects").startswith("4 objects")


def test_the_snapshot_is_a_commit_on_head_whose_diff_is_the_uncommitted_work(repo: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    (repo / "new.py").write_text("print(3)\n")
    snapshot = shoot(repo)
    assert sh(repo, "rev-parse", f"{snapshot.oid}^") == snapshot.base == sh(repo, "rev-parse", "HEAD")
    shown = sh(repo, "show", "--format=", str(snapshot.oid))
    assert "+print(2)" in shown and "+print(3)" in shown
    assert (snapshot.modified, snapshot.untracked) == (("train.py",), ("new.py",))
    assert snapshot.branch == "main"


def test_the_same_code_gives_the_same_commit_whoever_takes_it_and_whenever(repo: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    first = shoot(repo).oid
    sh(repo, "config", "i18n.commitEncoding", "ISO-8859-1")
    sh(repo, "config", "commit.gpgSign", "true")
    other = {**os.environ, "GIT_AUTHOR_NAME": "Ünlü", "GIT_COMMITTER_DATE": "2001-01-01", "TZ": "Asia/Tokyo"}
    git = Git(git_at(repo).paths, other)
    assert take(git, plan(git)).oid == first
    os.utime(repo / "train.py", (1, 1))
    assert shoot(repo).oid == first


def test_the_commit_is_dated_as_its_base_and_passes_fsck(repo: Path) -> None:
    (repo / "new").write_text("x")
    snapshot = shoot(repo)
    dates = sh(repo, "log", "-2", "--format=%ct %at", str(snapshot.oid)).splitlines()
    assert dates == [dates[1]] * 2
    sh(repo, "update-ref", "refs/track/code/x", str(snapshot.oid))
    sh(repo, "fsck", "--strict")


def test_index_work_tree_head_and_stash_stay_as_they_were(repo: Path) -> None:
    (repo / "staged.py").write_text("1\n")
    sh(repo, "add", "staged.py")
    (repo / "train.py").write_text("print(2)\n")
    (repo / "README").unlink()
    (repo / "new").write_text("x")
    before = sh(repo, "status", "--porcelain=v2", GIT_OPTIONAL_LOCKS="0")
    snapshot = shoot(repo)
    assert sh(repo, "status", "--porcelain=v2", GIT_OPTIONAL_LOCKS="0") == before
    assert sorted(files(repo, snapshot)) == ["new", "staged.py", "train.py"]
    assert not list((repo / ".git/track/tmp").iterdir())


def test_a_plan_writes_nothing_and_lists_files_with_sizes(repo: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    (repo / "new.py").write_text("print(345)\n")
    (repo / "README").unlink()
    before = sorted(path for path in (repo / ".git").rglob("*"))
    found = planned(repo)
    assert sorted(path for path in (repo / ".git").rglob("*")) == before
    listed = {(entry.path, entry.kind, entry.size) for entry in found.entries}
    assert listed == {("train.py", "modified", 9), ("new.py", "untracked", 11), ("README", "deleted", 0)}
    assert found.size == 20


def test_an_unchanged_plan_is_given_back_so_that_a_loop_of_runs_takes_one_snapshot(repo: Path) -> None:
    (repo / "new").mkdir()
    (repo / "new/a").write_text("1")
    first = planned(repo)
    assert plan(git_at(repo), previous=first) is first
    (repo / "new/a").write_text("2")
    second = plan(git_at(repo), previous=first)
    assert second is not first
    sh(repo, "add", "new")
    assert plan(git_at(repo), previous=second) is not second


def test_a_change_of_index_between_plan_and_take_is_seen(repo: Path) -> None:
    git = git_at(repo)
    (repo / "new").write_text("1")
    found = plan(git)
    (repo / "later").write_text("2")
    sh(repo, "add", "later")
    assert "later" in files(repo, take(git, found))


def test_a_subdirectory_gives_the_whole_work_tree(repo: Path) -> None:
    (repo / "sub/deep").mkdir(parents=True)
    (repo / "sub/deep/a").write_text("1")
    (repo / "top").write_text("1")
    snapshot = shoot(repo / "sub/deep")
    assert {"sub/deep/a", "top"} <= set(files(repo, snapshot))


def test_renamed_deleted_and_staged_then_deleted_files(repo: Path) -> None:
    (repo / "README").rename(repo / "README.md")
    (repo / "gone").write_text("1")
    sh(repo, "add", "gone")
    (repo / "gone").unlink()
    sh(repo, "rm", "-q", "--cached", "train.py")
    snapshot = shoot(repo)
    assert set(files(repo, snapshot)) == {"README.md", "train.py"}
    assert snapshot.untracked == ("README.md",)


def test_staged_content_that_differs_from_the_work_tree_gives_the_work_tree(repo: Path) -> None:
    (repo / "train.py").write_text("staged\n")
    sh(repo, "add", "train.py")
    (repo / "train.py").write_text("run\n")
    assert content(repo, shoot(repo), "train.py") == b"run\n"


def test_staged_content_alone_is_captured(repo: Path) -> None:
    (repo / "train.py").write_text("staged\n")
    sh(repo, "add", "train.py")
    snapshot = shoot(repo)
    assert content(repo, snapshot, "train.py") == b"staged\n"
    assert snapshot.modified == ("train.py",)


def test_work_that_was_undone_again_is_no_change(repo: Path) -> None:
    (repo / "train.py").write_text("staged\n")
    sh(repo, "add", "train.py")
    sh(repo, "show", "HEAD:train.py")
    (repo / "train.py").write_text('print("trained")\n')
    snapshot = shoot(repo)
    assert snapshot.oid == snapshot.base


def test_an_unborn_head_has_a_snapshot_without_parent_dated_zero(tmp_path: Path) -> None:
    sh(tmp_path, "init", "-q", "-b", "main", "empty")
    empty = tmp_path / "empty"
    bare_nothing = shoot(empty)
    assert files(empty, bare_nothing) == {}
    (empty / "a").write_text("1")
    snapshot = shoot(empty)
    assert snapshot.base is None and files(empty, snapshot) == {"a": "100644"}
    assert sh(empty, "log", "-1", "--format=%P|%ct", str(snapshot.oid)) == "|0"


def test_a_snapshot_with_its_code_ref_outlives_amend_reflog_expiry_and_prune(repo: Path) -> None:
    (repo / "train.py").write_text("print(2)\n")
    clean = sh(repo, "rev-parse", "HEAD")
    snapshot = shoot(repo)
    for oid in (clean, str(snapshot.oid)):
        sh(repo, "update-ref", f"refs/track/code/{oid[-2:]}/{oid}", oid)
    sh(repo, "commit", "-q", "--amend", "-m", "Another")
    sh(repo, "reflog", "expire", "--expire=now", "--all")
    sh(repo, "gc", "-q", "--prune=now")
    assert content(repo, snapshot, "train.py") == b"print(2)\n"
    assert "+print(2)" in sh(repo, "show", str(snapshot.oid))
    assert sh(repo, "cat-file", "-t", clean) == "commit"


def test_detached_head_has_no_branch(repo: Path) -> None:
    sh(repo, "checkout", "-q", "--detach")
    (repo / "new").write_text("1")
    snapshot = shoot(repo)
    assert snapshot.branch is None and "new" in files(repo, snapshot)


def test_a_read_only_git_directory_is_a_clear_error(repo: Path) -> None:
    (repo / "new").write_text("1")
    git = git_at(repo)
    found = plan(git)
    (repo / ".git/track").write_text("in the way")
    with pytest.raises(errors.CannotWrite) as caught:
        take(git, found)
    assert str(repo) in caught.value.message and caught.value.hint


def test_what_killed_processes_left_behind_is_swept_after_a_day(repo: Path) -> None:
    folder = repo / ".git/track/tmp"
    folder.mkdir(parents=True)
    for name, age in (("index-1-a", 2 * 86400), ("index-2-b", 10), ("other", 2 * 86400)):
        (folder / name).write_text("x")
        then = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (then, then))
    (repo / "new").write_text("1")
    shoot(repo)
    assert sorted(path.name for path in folder.iterdir()) == ["index-2-b", "other"]


def test_twenty_thousand_untracked_files_go_into_one_pack(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_MANY", 50)  # the same path with few files; the figure is in docs/benchmarks.md
    (repo / "many").mkdir()
    for number in range(120):
        (repo / f"many/{number}").write_text(str(number))
    before = sh(repo, "count-objects")
    snapshot = shoot(repo)
    assert len(files(repo, snapshot)) == 122
    loose = int(sh(repo, "count-objects").split()[0]) - int(before.split()[0])
    assert loose <= 4 and "in-pack: 120" in sh(repo, "count-objects", "-v")


def test_left_out_names_what_and_why(repo: Path) -> None:
    (repo / ".venv").mkdir()
    (repo / ".venv/pyvenv.cfg").write_text("home = /usr\n")
    assert "environment" in left(shoot(repo), ".venv").reason


def test_eight_at_once_give_one_commit(repo: Path) -> None:
    for number in range(20):
        (repo / f"new{number}").write_text(str(number))
    git = git_at(repo)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: take(git, plan(git)).oid, range(8)))
    assert len(set(taken)) == 1 and len(files(repo, take(git, plan(git)))) == 22


def test_a_full_disk_is_said_once_and_harms_nothing(repo: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        sh(tmp_path, "clone", "-q", "--no-hardlinks", "--template=", str(repo), str(disk / "clone"))
        clone = disk / "clone"
        (clone / "big").write_bytes(os.urandom(300_000))
        (clone / "small").write_text("1")
        with pytest.raises(errors.CannotWrite, match="No space left"):
            shoot(clone)
        sh(clone, "fsck")
        (clone / "big").unlink()
        assert "small" in files(clone, shoot(clone))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
