"""Checkpoints with files, folded in a real repository: when they are cut, where the bytes go, and what kills leave."""

import contextlib
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import keeping
import pytest

from gittrack.core import codec, events, layout
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import artifacts, folding, live, reader
from gittrack.runs.cutting import Cutter

REF = layout.run_ref(keeping.ID)


@pytest.fixture
def run(store):
    return keeping.Run(store.paths)


@pytest.fixture
def folder(store, run):
    with contextlib.closing(folding.Folder.open(store, run.directory)) as opened:
        yield opened


def story(git):
    return [line.partition(":")[0] for line in git("log", "--reverse", "--format=%s", REF).splitlines()]


def listed(git, commit=REF):
    names = git("ls-tree", "-r", "--name-only", commit).splitlines()
    return [name for name in names if name.startswith("files/")]


def test_a_checkpoint_is_committed_when_its_files_are_kept_and_with_them(run, folder, git):
    run.write(keeping.point(1), keeping.checkpoint(1, 1), keeping.point(2), keeping.checkpoint(2))
    run.hand_over(1, {"a/config.json": b"{}"})
    folder.advance(1001.0)
    assert story(git) == ["start 0123456"]
    run.keep(1, {"a/config.json": b"{}"})
    folder.advance(1002.0)
    assert story(git) == ["start 0123456", "checkpoint at step 1", "checkpoint at step 2"]
    assert listed(git, REF + "~1") == listed(git) == ["files/000/00/00/a/config.json"]
    assert git("show", REF + "~1:files/000/00/00/a/config.json") == "{}"
    assert "kept" in git("show", REF + "~1:artifacts/000/00.jsonl")
    assert git("fsck", "--strict") == ""


def test_checkpoints_of_other_processes_do_not_wait(run, folder, git):
    other = "1700000000500-7-aaaa.jsonl"
    run.write(keeping.point(1), keeping.checkpoint(1, 1))
    run.write(keeping.header(), keeping.checkpoint(5), file=other)
    folder.advance(1001.0)
    assert story(git) == ["start 0123456", "checkpoint at step 5"]


def test_files_that_were_kept_before_their_checkpoint_was_said_are_in_its_commit(store, run, folder, git):
    run.keep(1, {"f": b"x"})
    folder.advance(1000.5)
    folder.advance(1061.0)
    assert listed(git) == ["files/000/00/00/f"]
    folder.close()
    run.write(keeping.checkpoint(1, 1))
    with contextlib.closing(folding.Folder.open(store, run.directory)) as second:
        second.advance(1062.0)
    assert story(git)[-1] == "checkpoint at step 1"


def test_a_time_cut_ends_before_a_checkpoint_that_waits_until_it_has_waited_for_five_minutes(run, folder, git):
    folder.advance(1000.0)
    run.write(keeping.point(1), keeping.checkpoint(2, 1), keeping.point(3))
    run.hand_over(1, {"f": b"x"})
    for now in (1001.0, 1062.0, 1130.0):
        folder.advance(now)
    assert [cut.reason for cut in live.read_cuts(run.directory)] == ["start", "time"]
    assert codec.loads(git("show", REF + ":summary.json"))["metrics"]["loss"]["last_step"] == 1
    folder.advance(1302.0)
    assert [cut.reason for cut in live.read_cuts(run.directory)] == ["start", "time", "time"]
    assert codec.loads(git("show", REF + ":summary.json"))["checkpoints"]["count"] == 1
    run.keep(1, {"f": b"x"})
    run.write(keeping.checkpoint(4, 2))
    run.keep(2, {"g": b"y"})
    folder.advance(1303.0)
    assert [cut.reason for cut in live.read_cuts(run.directory)] == ["start", "time", "time", "checkpoint"]
    assert listed(git) == ["files/000/00/00/f", "files/000/00/01/g"]


def test_a_parcel_that_two_storers_kept_in_part_is_covered_whole(run, folder, git):
    second = "1700000000900-78-bcde.jsonl"
    run.write(keeping.checkpoint(1, 1))
    run.keep_bytes(b"a")
    run.keep_bytes(b"b")
    run.write(keeping.kept(1, "a", b"a"), file=keeping.STORER)
    folder.advance(1001.0)
    assert story(git) == ["start 0123456"]
    run.write(keeping.header(), keeping.kept(1, "b", b"b"), keeping.whole(1, 2), file=second)
    folder.advance(1002.0)
    assert listed(git) == ["files/000/00/00/a", "files/000/00/00/b"]


def test_no_last_cut_is_made_while_a_parcel_waits(store, run, folder, git):
    run.write(keeping.checkpoint(1, 1), keeping.end())
    run.hand_over(1, {"f": b"x"})
    assert not folder.finish(1100.0)
    assert not os.path.exists(os.path.join(run.directory, events.CLOSING))
    assert live.parcels(run.directory) == [keeping.name(1)]
    run.keep(1, {"f": b"x"})
    assert folder.finish(1101.0)
    assert story(git) == ["start 0123456", "checkpoint at step 1", "completed after 1 min 39 s"]
    assert listed(git, REF + "~1") == ["files/000/00/00/f"]


def test_a_parcel_that_comes_while_the_run_is_closed_keeps_it_open(run, folder, monkeypatch):
    run.write(keeping.checkpoint(1, 1), keeping.end())
    held = live.held

    def last_moment(*args):
        run.hand_over(1, {"f": b"x"})
        return held(*args)

    monkeypatch.setattr(live, "held", last_moment)
    assert not folder.finish(1100.0)
    assert not os.path.exists(os.path.join(run.directory, events.CLOSING))


def test_what_a_killed_process_was_copying_goes_with_the_folder(store, run, folder, git):
    run.write(keeping.point(1), keeping.end())
    half = live.parcel(run.directory, keeping.name(1)) + ".new"
    os.makedirs(half + "/sub")
    assert live.parcels(run.directory) == []
    assert folder.finish(1100.0)
    assert not os.path.exists(run.directory) and listed(git) == []


def test_a_checkpoint_whose_parcel_is_lost_has_its_commit_at_the_end(run, folder, git):
    run.write(keeping.checkpoint(1, 1), keeping.checkpoint(2), keeping.end())
    folder.advance(1001.0)
    assert story(git) == ["start 0123456"]
    assert folder.finish(1100.0)
    assert story(git)[1:3] == ["checkpoint at step 1", "checkpoint at step 2"]


def test_small_files_leave_the_folder_when_a_ref_names_their_commit(run, folder, git):
    run.write(keeping.checkpoint(1, 1))
    run.keep(1, {"f": b"one", "g": b"two"})
    run.keep_bytes(b"of a parcel to come")
    assert len(run.blobs()) == 3
    folder.advance(1001.0)
    assert run.blobs() == [run.blob(b"of a parcel to come").name]
    assert git("show", REF + ":files/000/00/00/g") == "two"


def test_content_that_left_the_folder_is_taken_from_the_record_when_it_is_kept_again(store, run, folder, git):
    """The storer of the second parcel saw the file in blobs/ just before it was committed and removed."""
    for step in (1, 2):
        run.write(keeping.checkpoint(step, step), keeping.point(step))
        if step == 1:
            run.keep_bytes(b"same")
        run.write(keeping.kept(step, f"f{step}", b"same"), keeping.whole(step), file=keeping.STORER)
        folder.advance(1000.0 + step)
        assert run.blobs() == []
    folder.close()
    run.write(keeping.checkpoint(3, 3))
    run.write(keeping.kept(3, "f3", b"same"), keeping.whole(3), file=keeping.STORER)
    with contextlib.closing(folding.Folder.open(store, run.directory)) as second:
        second.advance(1004.0)
    assert [git("show", f"{REF}:{path}") for path in listed(git)] == ["same"] * 3


def test_a_blob_that_is_gone_or_wrong_is_left_out_and_stops_nothing(store, run, git):
    run.write(keeping.checkpoint(1, 1), keeping.end())
    run.keep(1, {"gone": b"gone", "torn": b"torn", "good": b"good", "dir": b"dir"})
    run.blob(b"gone").unlink()
    run.blob(b"torn").write_bytes(b"tor")
    run.blob(b"dir").unlink()
    run.blob(b"dir").mkdir()
    assert folding.fold_dead(store, 2000.0).folded == [keeping.ID]
    assert listed(git) == ["files/000/00/00/good"]
    assert len(artifacts.artifacts(store, reader.read(store, keeping.ID))) == 4


def test_paths_that_no_directory_could_have_stop_nothing(store, run, git):
    """Written by a hand: a file that is a directory too, and two thousand directories in each other."""
    deep = "/".join("d" * 2000)
    run.write(keeping.checkpoint(1, 1), keeping.checkpoint(2, 2), keeping.checkpoint(3, 3))
    run.keep(1, {"a": b"a", "a/b": b"b", "c/d": b"d", "c": b"c", deep: b"deep"})
    run.keep(2, {"again": b"a", "fine": b"d"})
    run.write(keeping.kept(3, "a", b"a"), keeping.whole(3), file=keeping.STORER)
    assert folding.fold_dead(store, 2000.0).folded == [keeping.ID]
    assert listed(git)[:2] == ["files/000/00/00/a/b", "files/000/00/00/c"]
    assert git("show", REF + ":files/000/00/01/again") == git("show", REF + ":files/000/00/02/a") == "a"
    assert git("fsck", "--strict") == ""


def test_blobs_that_a_killed_folder_left_are_removed_by_the_next(store, run, folder, git):
    run.write(keeping.checkpoint(1, 1))
    run.keep(1, {"f": b"one"})
    folder.advance(1001.0)
    folder.close()
    run.keep_bytes(b"one")  # as if it had been killed before it removed it
    run.keep_bytes(b"unknown")
    with contextlib.closing(folding.Folder.open(store, run.directory)) as second:
        second.advance(1002.0)
    assert run.blobs() == [run.blob(b"unknown").name]


def test_a_dead_run_with_parcels_is_left_until_they_are_kept(store, run, git):
    run.write(keeping.checkpoint(1, 1))
    run.hand_over(1, {"f": b"x"})
    assert folding.fold_dead(store, 2000.0) == folding.Dead([], [], (keeping.ID,))
    open(os.path.join(run.directory, events.CLOSING), "wb").close()  # its closer was killed too
    asked = []

    def later(directory):
        asked.append((directory, os.path.exists(os.path.join(directory, events.CLOSING))))

    assert folding.fold_dead(store, 2000.0, keep=later).waiting == (keeping.ID,)
    assert asked == [(run.directory, False)]
    found = folding.fold_dead(store, 2000.0, keep=lambda directory: run.keep(1, {"f": b"x"}))
    assert found == folding.Dead([keeping.ID], [])
    assert story(git) == ["start 0123456", "checkpoint at step 1", "crashed after 0.1 s"]
    assert listed(git, REF + "~1") == ["files/000/00/00/f"]


def test_a_dead_run_whose_storer_is_at_work_is_not_closed(store, run, git):
    run.write(keeping.checkpoint(1, 1))
    run.hand_over(1, {"f": b"x"})
    with open(os.path.join(run.directory, keeping.STORER), "ab") as file:

        def storer(directory):
            fcntl.flock(file, fcntl.LOCK_EX)
            run.keep(1, {"f": b"x"})

        assert folding.fold_dead(store, 2000.0, keep=storer).folded == []
    assert folding.fold_dead(store, 2000.0).folded == [keeping.ID]


def test_a_run_that_keeps_its_large_files_with_git_lfs_has_pointers(store, git):
    run = keeping.Run(store.paths, store="lfs")
    run.keep(1, {"model.pt": b"weights"}, "store")
    run.keep(2, {"small": b"x"})
    folding.fold_dead(store, 2000.0)
    assert git("show", REF + ":files/000/00/00/model.pt").startswith("version https://git-lfs.github.com/spec/v1\noid ")
    assert git("show", REF + ":files/000/00/01/small") == "x"


FOLD = """
import os, sys
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import folding
repo = open_repository(discover(sys.argv[1], os.environ), os.environ)
print("ready", flush=True)
folding.fold_dead(repo, 5000.0)
"""


def test_a_folder_killed_at_any_moment_loses_no_file_and_gives_the_same_record(repo, git):
    rng = random.Random(5)
    paths = discover(str(repo), os.environ)
    expected = None
    for _ in range(6):
        run = keeping.Run(paths)
        for step in range(60):
            run.write(keeping.point(step), keeping.checkpoint(step, step))
            run.keep(step, {"config.json": b"%d" % step, "same.txt": b"same"})
        for _ in range(4):
            child = subprocess.Popen([sys.executable, "-c", FOLD, str(repo)], stdout=subprocess.PIPE)
            child.stdout.readline()
            time.sleep(rng.random() * 0.12)
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
        subprocess.run([sys.executable, "-c", FOLD, str(repo)], check=True, stdout=subprocess.DEVNULL)
        found = git("rev-parse", REF + "^{tree}"), git("rev-list", "--count", REF)
        assert expected in (None, found)
        expected = found
        assert len(listed(git)) == 120 and git("show", REF + ":files/000/01/27/config.json") == "59"
        assert git("fsck", "--strict", "--no-dangling") == ""
        assert not os.path.exists(run.directory)
        git("update-ref", "-d", REF)


def test_folding_in_two_clones_in_any_steps_gives_the_same_oids(store, run, folder, repo, tmp_path):
    rng = random.Random(7)
    twin = tmp_path / "twin"
    subprocess.run(["git", "clone", "-q", str(repo), str(twin)], check=True)
    copied = live.folder(discover(str(twin), os.environ), keeping.ID)
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    waiting, now = [], 1000.0
    for step in range(60):
        run.write(keeping.point(step), keeping.checkpoint(step, step if step % 3 else None))
        waiting += [step] if step % 3 else []
        for parcel in waiting[: rng.randint(0, 3)]:
            run.keep(parcel, {"config": b"%d" % (parcel % 7), "large": os.urandom(5)}, rng.choice(["git", "store"]))
            waiting.remove(parcel)
        shutil.copytree(os.path.join(run.directory, "blobs"), blobs, dirs_exist_ok=True)
        now += rng.choice([1, 70])
        folder.advance(now)
    run.write(keeping.end())
    for parcel in waiting:
        run.keep(parcel, {"config": b"late"})
    shutil.copytree(os.path.join(run.directory, "blobs"), blobs, dirs_exist_ok=True)
    folder._close(now, None, ())  # cut to the end, and copied before it is folded
    shutil.copytree(run.directory, copied)
    shutil.copytree(blobs, os.path.join(copied, "blobs"), dirs_exist_ok=True)
    assert folder.finish(now)
    other = open_repository(discover(str(twin), os.environ), os.environ, backend="cli")
    folding.fold_dead(other, 99999.0)
    assert other.refs(REF)[REF] == store.refs(REF)[REF]
    other.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="the kernel does not count what is read")
def test_what_is_looked_through_and_remembered_does_not_grow_with_the_number_of_checkpoints(run):
    """The bytes that a look reads, counted by the kernel: 200 checkpoints early and 200 late."""
    cutter = Cutter(run.directory)
    cutter.started(1000.0)

    def looks(first):
        before = read_so_far()
        for step in range(first, first + 200):
            run.write(keeping.checkpoint(step, step))
            run.write(keeping.kept(step, "f", b"x"), keeping.whole(step), file=keeping.STORER)
            cutter.checkpoints()
        return read_so_far() - before

    looks(0)  # imports, and until the journals are longer than a look backwards for a line end
    for step in range(200, 800):
        run.write(keeping.checkpoint(step, step))
        run.write(keeping.kept(step, "f", b"x"), keeping.whole(step), file=keeping.STORER)
    cutter.checkpoints()
    early = looks(800)
    for step in range(1000, 3000):
        run.write(keeping.checkpoint(step, step))
        run.write(keeping.kept(step, "f", b"x"), keeping.whole(step), file=keeping.STORER)
    cutter.checkpoints()
    late = looks(3000)
    assert len(cutter.cuts) == 3201
    assert late < 1.2 * early
    assert sum(map(len, cutter._waiting.values())) == len(cutter._unkept) == 0


def read_so_far():
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])
