"""Files appear whole, never through a link, and what they replace can be had back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.git.repository import Repository
from gittrack.runs import operations, placing
from gittrack.runs.annotations import Author
from gittrack.runs.placing import Target
from gittrack.runs.undo import undo

ME = Author("Ann <ann@example.org>", builder.T0, "git track undo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def make(target: Target, content: str, name: str = "made", mode: int = 0o644) -> str:
    path = os.path.join(target.staging, name)
    Path(path).write_text(content)
    os.chmod(path, mode)
    return path


def put(store: Repository, folder: Path, files: dict[str, str], replace: bool = False) -> None:
    with placing.replacing(store.paths, str(folder), "git track checkout", "Ann") as target:
        for path, content in files.items():
            target.put(make(target, content), path, replace)


def listed(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def test_files_appear_in_folders_that_are_made_and_nothing_else_is_left(store, folder):
    put(store, folder, {"a/b/c": "1", "d": "2"})
    assert listed(folder) == {"a/b/c": "1", "d": "2"}
    assert sorted(path.name for path in folder.iterdir()) == ["a", "d"]


def test_a_file_that_came_into_being_meanwhile_is_not_overwritten(store, folder):
    (folder / "a").write_text("mine")
    with pytest.raises(errors.WouldOverwrite):
        put(store, folder, {"a": "theirs"})
    assert listed(folder) == {"a": "mine"}


@pytest.mark.parametrize("path", ["link/x", "real/link/x"])
def test_nothing_is_written_through_a_link_to_a_folder(store, folder, tmp_path, path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "real").mkdir()
    for name in ("link", "real/link"):
        (folder / name).symlink_to(outside)
    with pytest.raises(errors.WouldOverwrite) as caught:
        put(store, folder, {path: "evil"}, replace=True)
    assert path.removesuffix("/x") in caught.value.message
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced_itself(store, folder, tmp_path):
    outside = tmp_path / "precious"
    outside.write_text("precious")
    (folder / "a").symlink_to(outside)
    put(store, folder, {"a": "new"}, replace=True)
    assert outside.read_text() == "precious"
    assert listed(folder) == {"a": "new"}
    undo(store, ME)
    assert listed(folder) == {"a": str(outside)}


def test_a_folder_in_the_place_of_a_file_stays(store, folder):
    (folder / "a").mkdir()
    (folder / "a" / "x").write_text("mine")
    with pytest.raises(errors.WouldOverwrite):
        put(store, folder, {"a": "theirs"}, replace=True)
    assert listed(folder) == {"a/x": "mine"}


def test_undo_brings_back_what_was_there_and_undo_of_that_what_replaced_it(store, folder):
    (folder / "a").write_text("mine")
    (folder / "a").chmod(0o750)
    put(store, folder, {"a": "theirs", "b/c/d": "new"}, replace=True)
    undo(store, ME)
    assert listed(folder) == {"a": "mine"}
    assert (folder / "a").stat().st_mode & 0o777 == 0o750
    assert not (folder / "b").exists()
    undo(store, ME)
    assert listed(folder) == {"a": "theirs", "b/c/d": "new"}
    undo(store, ME)
    assert listed(folder) == {"a": "mine"}


def test_undo_keeps_away_from_files_that_were_changed_since(store, folder):
    (folder / "a").write_text("mine")
    put(store, folder, {"a": "theirs", "b": "new"}, replace=True)
    (folder / "b").write_text("worked on")
    with pytest.raises(errors.WouldOverwrite) as caught:
        undo(store, ME)
    assert "  b" in caught.value.message
    assert listed(folder) == {"a": "theirs", "b": "worked on"}
    (folder / "b").rename(folder / "kept")
    undo(store, ME)
    assert listed(folder) == {"a": "mine", "kept": "worked on"}


def test_undo_leaves_other_files_in_folders_that_were_made(store, folder):
    put(store, folder, {"a/b": "new"})
    (folder / "a" / "mine").write_text("mine")
    undo(store, ME)
    assert listed(folder) == {"a/mine": "mine"}


def test_an_operation_on_files_is_listed_like_any_other(store, folder):
    put(store, folder, {"a": "new"})
    [one] = operations.log(store)
    assert (one.command, one.who, one.outcome, one.changes) == ("git track checkout", "Ann", "done", ())
    undo(store, ME)
    with pytest.raises(errors.UsageError):
        undo(store, ME, one.id)


def test_what_was_replaced_is_let_go_of_in_time(store, folder):
    (folder / "a").write_text("mine")
    put(store, folder, {"a": "theirs"}, replace=True)
    kept = Path(placing.kept_folder(store.paths, ""))
    assert len(list(kept.iterdir())) == 1
    placing.forget(store.paths, time.time() - 10)
    assert len(list(kept.iterdir())) == 1
    placing.forget(store.paths, time.time() + 10)
    assert list(kept.iterdir()) == []
    with pytest.raises(errors.RunNotFound):
        undo(store, ME)
    assert listed(folder) == {"a": "theirs"}


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[3])
import builder
from gittrack.runs import placing
store = builder.opened(__import__("pathlib").Path(sys.argv[1]))
with placing.replacing(store.paths, sys.argv[2], "git track checkout", "Ann") as target:
    for number in range(1_000_000):
        path = os.path.join(target.staging, "made")
        with open(path, "w") as file:
            file.write("new " * 1000)
        target.put(path, f"f{number % 50}", replace=True)
        if number == 10:
            print("going", flush=True)
"""


def test_killed_half_way_every_file_is_whole_and_the_rest_is_swept_and_undone(store, folder, repo):
    for number in range(50):
        (folder / f"f{number}").write_text("old " * 1000)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(repo), str(folder), str(Path(builder.__file__).parent)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"going\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = listed(folder)
    content = {text for path, text in found.items() if not path.startswith(placing.STAGING)}
    assert content <= {"old " * 1000, "new " * 1000}
    undo(store, ME)
    assert set(listed(folder).values()) == {"old " * 1000}
    assert len(list(folder.iterdir())) == 50


def test_a_mount_below_the_folder_is_written_into_as_well(store, folder):
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shm.stat().st_dev == folder.stat().st_dev:
        pytest.skip("no second file system to write to")
    source = folder / "made"
    source.write_text("content")
    source.chmod(0o755)
    name = f"gittrack-test-{os.getpid()}"
    parent = os.open(shm, os.O_RDONLY)
    try:
        with placing._beside(str(source), parent) as (place, made):
            assert place == parent
            os.rename(made, name, src_dir_fd=place, dst_dir_fd=parent)
        assert (shm / name).read_text() == "content"
        assert (shm / name).stat().st_mode & 0o777 == 0o755
    finally:
        (shm / name).unlink(missing_ok=True)
        os.close(parent)


def test_whether_names_fold_is_asked_of_the_file_system(folder):
    probe = folder / "PROBE"
    probe.write_text("")
    assert placing.folds_case(str(folder / "not" / "there")) == (folder / "probe").exists()


def test_what_a_killed_checkout_leaves_in_the_work_tree_is_no_file_to_git(store, repo, git):
    with placing.replacing(store.paths, str(repo), "git track checkout", "Ann") as target:
        make(target, "half a model")
        assert git("status", "--porcelain", "--untracked-files=all") == ""


def test_a_folder_in_which_nothing_can_be_made_leaves_nothing_open(store: Repository) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(errors.CannotWrite, match="/proc"), placing.replacing(store.paths, "/proc", "checkout", "Ann"):
        raise AssertionError
    assert os.listdir("/proc/self/fd") == before
