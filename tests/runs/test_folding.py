"""Folding against real repositories: the same journal gives the same refs, whatever happens on the way."""

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from gittrack import errors
from gittrack.core import codec, events, layout
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange
from gittrack.recorder import process
from gittrack.runs import folding, live, operations, overlay

ID = "0123456789abcdef0123"
HEADER = {"e": "process", "format": 1, "t": 0.0, "w": 1000.0}


def header():
    return {**HEADER, "boot": process.boot_id(), "machine": process.machine_id()}


def start(snapshot=None):
    facts = {"id": ID, "command": "train", "snapshot": snapshot, "user": {"name": "Ann", "email": "ann@example.org"}}
    return {"e": "start", "run": facts, "goals": {"loss": "minimize"}, "t": 0.0, "w": 1000.0}


def point(step):
    return {"m": {"loss": 1 / (step + 1)}, "s": step, "t": step / 10, "w": 1000 + step / 10}


def checkpoint(step):
    return {"e": "checkpoint", **point(step), "primary": None}


def lines(*values):
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


@pytest.fixture
def opened(repo):
    opened = open_repository(discover(str(repo), os.environ), os.environ)
    yield opened
    opened.close()


def folder(opened, *values, run_id=ID):
    directory = live.folder(opened.paths, run_id)
    os.makedirs(directory)
    append(directory, *values)
    return directory


def append(directory, *values, name=events.STARTER):
    with open(os.path.join(directory, name), "ab") as file:
        file.write(lines(*values))


def tip(opened, run_id=ID):
    return opened.refs(layout.run_ref(run_id)).get(layout.run_ref(run_id))


def story(git):
    return git("log", "--reverse", "--format=%s", layout.run_ref(ID)).splitlines()


def test_a_live_run_is_cut_at_its_checkpoints_and_at_its_end(opened, git):
    directory = folder(opened, header(), start())
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        one.advance(1000.5)
        append(directory, point(1), checkpoint(1), point(2), checkpoint(2), point(3))
        one.advance(1001.0)
        append(directory, {"e": "end", "status": "completed", "code": 0, "t": 2.0, "w": 1002.0})
        assert one.finish(1002.5)
    assert story(git) == [
        "start 0123456: train",
        "checkpoint at step 1: loss 0.5",
        "checkpoint at step 2: loss 0.33333",
        "completed after 2.0 s: loss 0.25",
    ]
    assert not os.path.exists(directory)
    assert git("fsck", "--strict") == ""
    assert codec.loads(git("show", f"{layout.run_ref(ID)}:summary.json"))["metrics"]["loss"]["best"] == 0.25


def test_a_run_that_is_folded_late_has_a_commit_for_each_checkpoint_all_the_same(opened, git):
    folder(opened, header(), start(), point(1), checkpoint(1), point(2), checkpoint(2), point(3))
    folding.fold_dead(opened, 2000.0)
    assert story(git) == [
        "start 0123456: train",
        "checkpoint at step 1: loss 0.5",
        "checkpoint at step 2: loss 0.33333",
        "crashed after 0.3 s: loss 0.25",
    ]


def test_the_log_of_operations_has_a_run_once_however_often_it_is_committed(opened, git, track):
    directory = folder(opened, header(), start())
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        for step in range(5):
            append(directory, point(step), checkpoint(step))
            one.advance(1001.0 + step)
        append(directory, {"e": "end", "status": "completed", "code": 0, "t": 9.0, "w": 1009.0})
        assert one.finish(1010.0)
    moved = [found for found in operations.log(opened) if found.outcome == operations.DONE]
    assert [len(moved), len(operations.begun(moved))] == [2, 1]
    assert operations.net(moved)[layout.run_ref(ID)].new == tip(opened)
    track("undo")
    assert tip(opened) is None


def test_time_cuts_come_a_minute_apart_and_only_when_something_is_new(opened, git):
    directory = folder(opened, header(), start())
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        for now in (1000, 1030, 1061, 1200):
            append(directory, point(now)) if now != 1200 else None
            one.advance(now)
        assert [cut.reason for cut in live.read_cuts(directory)] == ["start", "time"]


def test_the_code_ref_is_made_before_the_record_that_names_it(opened, git):
    head = git("rev-parse", "HEAD")
    directory = folder(opened, header(), start(head), {"e": "end", "status": "completed", "t": 1, "w": 1001})
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        one.finish(1002)
    git("checkout", "-q", "--orphan", "other")
    git("commit", "-q", "-m", "other")
    git("branch", "-D", "main")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")
    assert git("rev-parse", layout.code_ref(head)) == head
    assert "print" in git("show", f"{head}:train.py")


def test_a_process_that_still_holds_its_journal_keeps_the_run_open(opened):
    directory = folder(opened, header(), start(), {"e": "end", "status": "completed", "t": 1, "w": 1001})
    other = os.path.join(directory, "1700000000000-7-abcd.jsonl")
    with open(other, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.closing(folding.Folder.open(opened, directory)) as one:
            assert not one.finish(1002)
            assert live.state(directory, live.here()) == live.OPEN
            assert not os.path.exists(os.path.join(directory, events.CLOSING))
            file.write(lines(header(), point(8)))
            file.close()
            assert one.finish(1003)
    assert opened.read_path(tip(opened), "metrics/000/00.jsonl") == lines(point(8))


def test_a_dead_run_is_folded_as_crashed_and_loses_no_point(opened, git):
    folder(opened, header(), start(), point(1), point(2))
    assert folding.fold_dead(opened, 2000.0).folded == [ID]
    status = codec.loads(git("show", f"{layout.run_ref(ID)}:status.json"))
    assert status["status"] == "crashed" and status["ended"] == codec.format_time(1000.2)
    assert opened.read_path(tip(opened), "metrics/000/00.jsonl") == lines(point(1), point(2))
    assert folding.fold_dead(opened, 2001.0) == folding.Dead([], [])


def test_a_run_of_another_machine_is_left_until_forced(opened):
    folder(opened, {**header(), "boot": "elsewhere", "machine": "another"}, start())
    assert folding.fold_dead(opened, 2000.0) == folding.Dead([], [ID])
    assert folding.fold_dead(opened, 2000.0, force=True).folded == [ID]


def test_a_run_of_an_earlier_boot_of_this_machine_is_dead(opened):
    if process.machine_id() is None:
        folder(opened, {**header(), "boot": "earlier"}, start())
        assert folding.fold_dead(opened, 2000.0).unknown == [ID]
    else:
        folder(opened, {**header(), "boot": "earlier"}, start())
        assert folding.fold_dead(opened, 2000.0).folded == [ID]


def test_a_folder_that_died_before_it_was_a_run_goes_away(opened):
    directory = folder(opened, header())
    os.utime(directory, (1, 1))
    assert folding.fold_dead(opened, 2000.0) == folding.Dead([], [])
    assert not os.path.exists(directory)


def test_a_torn_last_line_is_not_part_of_the_record(opened):
    directory = folder(opened, header(), start(), point(1))
    with open(os.path.join(directory, events.STARTER), "ab") as file:
        file.write(b'{"m":{"loss":0.')
    folding.fold_dead(opened, 2000.0)
    assert opened.read_path(tip(opened), "metrics/000/00.jsonl") == lines(point(1))


def test_folding_in_two_clones_in_any_steps_gives_the_same_oids(opened, repo, tmp_path):
    directory = folder(opened, header(), start())
    values = [
        value for step in range(40) for value in (point(step), checkpoint(step) if step % 7 == 0 else point(step))
    ]
    twin = tmp_path / "twin"
    subprocess.run(["git", "clone", "-q", str(repo), str(twin)], check=True)
    rng = random.Random(7)
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        now = 1000.0
        while values:
            count = rng.randint(1, 9)
            append(directory, *values[:count])
            del values[:count]
            now += rng.choice([1, 70])
            one.advance(now)
        append(directory, {"e": "end", "status": "completed", "code": 0, "t": 9.0, "w": 1009.0})
        one._close(now, None, ())  # cut to the end, and copied before it is folded
        copied = live.folder(discover(str(twin), os.environ), ID)
        shutil.copytree(directory, copied)
        one.finish(now)
    other = open_repository(discover(str(twin), os.environ), os.environ, backend="cli")
    folding.fold_dead(other, 99999.0)
    assert tip(other) == tip(opened) is not None
    other.close()


FOLD = """
import os, sys, time
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import folding
repo = open_repository(discover(sys.argv[1], os.environ), os.environ)
print("ready", flush=True)
folding.fold_dead(repo, 5000.0)
"""


def test_a_folder_killed_at_any_moment_leaves_a_sound_repository_and_the_same_record(repo, git, tmp_path):
    rng = random.Random(11)
    paths = discover(str(repo), os.environ)
    expected = None
    for round_number in range(12):
        values = [value for step in range(60) for value in (point(step), checkpoint(step))]
        directory = live.folder(paths, ID)
        os.makedirs(directory)
        append(directory, header(), start(), *values)
        for _ in range(3):
            child = subprocess.Popen([sys.executable, "-c", FOLD, str(repo)], stdout=subprocess.PIPE)
            child.stdout.readline()
            time.sleep(rng.random() * 0.08)
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
        subprocess.run([sys.executable, "-c", FOLD, str(repo)], check=True, stdout=subprocess.DEVNULL)
        found = git("rev-parse", layout.run_ref(ID) + "^{tree}")
        assert expected in (None, found), f"round {round_number}"
        expected = found
        assert git("fsck", "--strict", "--no-dangling") == ""
        assert not os.path.exists(directory)
        git("update-ref", "-d", layout.run_ref(ID))


def refuse_objects(opened):
    """As a full disk does: no object can be written until `take_objects`."""
    os.rename(f"{opened.paths.common_dir}/objects", f"{opened.paths.common_dir}/elsewhere")


def take_objects(opened):
    os.rename(f"{opened.paths.common_dir}/elsewhere", f"{opened.paths.common_dir}/objects")


@pytest.mark.parametrize("points", [5, 200_000], ids=["in one piece", "in the middle of a cut"])
def test_a_fold_that_failed_is_done_again_from_the_start(opened, git, points):
    end = {"e": "end", "status": "completed", "code": 0, "t": 1e5, "w": 101000.0}
    directory = folder(opened, header(), start(), *(point(step) for step in range(points)), end)
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        refuse_objects(opened)
        for _ in range(2):
            with pytest.raises(errors.GittrackError):
                one.finish(101001.0)
        take_objects(opened)
        assert os.path.isdir(directory)
        assert one.finish(101002.0)
    assert json.loads(git("show", f"{tip(opened)}:summary.json"))["points"] == points
    assert story(git)[0].startswith("start ")


def test_a_checkpoint_whose_fold_failed_has_its_commit_all_the_same(opened, git):
    directory = folder(opened, header(), start())
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        one.advance(1000.5)
        append(directory, point(1), checkpoint(1))
        refuse_objects(opened)
        with pytest.raises(errors.GittrackError):
            one.advance(1001.0)
        take_objects(opened)
        append(directory, point(2), checkpoint(2))
        one.advance(1002.0)
    assert [line.partition(":")[0] for line in story(git)[1:]] == ["checkpoint at step 1", "checkpoint at step 2"]


def test_a_process_that_comes_while_the_run_is_closed_is_not_part_of_it(opened, monkeypatch):
    """It makes its file, sees that the run is being closed, and takes the file back: perhaps after the last cut."""
    directory = folder(opened, header(), start(), point(1))
    late = "1763641343500-4711-beef.jsonl"
    close_left = folding.tail.close_left  # what comes between the look at the locks and the cut

    def meanwhile(*args):
        close_left(*args)
        append(directory, header(), name=late)

    monkeypatch.setattr(folding.tail, "close_left", meanwhile)
    with contextlib.closing(folding.Folder.open(opened, directory)) as one:
        commit = one._committer.commit
        gone = os.path.join(directory, late)
        monkeypatch.setattr(one._committer, "commit", lambda *args: (os.unlink(gone), commit(*args)))
        assert one.finish(1002.0, "crashed")
    assert tip(opened)


@pytest.mark.parametrize("closed", [events.STARTER, events.CUTS, "."])
def test_a_run_that_may_not_be_read_is_nobody_s_to_end(closed):
    """Another user's, in a repository that several share, or one that was started with sudo."""
    directory = tempfile.mkdtemp()
    try:
        os.chmod(directory, 0o755)
        append(directory, header(), start())
        append(directory, name=events.CUTS)
        os.chmod(os.path.join(directory, closed), 0o000)
        me = os.geteuid()
        os.seteuid(me or 65534)
        try:
            assert live.state(directory, live.here()) in (live.OPEN, live.UNKNOWN)
            assert overlay.look(directory, live.here()) is None or closed == events.CUTS
        finally:
            os.seteuid(me)
    finally:
        os.chmod(directory, 0o755)
        shutil.rmtree(directory)


def test_a_run_that_cannot_be_folded_does_not_keep_others_from_it(opened):
    """The ref of one of them is no record."""
    others = ["fedcba9876543210abcd", "00000000000000000000"]
    for run_id in (ID, *others):
        folder(opened, header(), start(), point(1), run_id=run_id)
    top = objects.tree({})
    commit = objects.commit(top.oid, [], "a <b>", 0, "no record")
    opened.write([top, commit])
    opened.update_refs([RefChange(layout.run_ref(ID), None, commit.oid)])
    with pytest.raises(errors.DamagedRecord):
        folding.fold_dead(opened, 1100.0)
    assert live.ids(opened.paths) == [ID]
    assert all(tip(opened, run_id) for run_id in others)
