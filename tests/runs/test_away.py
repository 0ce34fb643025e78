"""Runs that are at a host: nothing here ends, folds or removes them, and everything that lists runs knows them."""

import json
import os
import shutil
import subprocess
import sys
import time

import builder
import keeping
import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.runs import away, burial, doctor, folding, gc, live, needs, overlay, uninstall
from gittrack.runs.annotations import Annotations, Author
from gittrack.runs.findings import Patient
from gittrack.share import journals, purge

ID = keeping.ID
ME = Author("Ann <ann@example.org>", 1_800_000_000.0, "test")


def sent(**changes):
    start = {name: value for name, value in keeping.start().items() if name in ("run", "goals")}
    start["run"] = {**start["run"], "created": "2026-01-02T03:04:05.000000Z", "host": "laptop"}
    now = time.time()
    return away.Away("gpu1", since=now - 5, seen=now, project="0" * 40, start=start)._replace(**changes)


@pytest.fixture
def directory(store):
    """A run that was sent to gpu1."""
    path = live.folder(store.paths, ID)
    away.create(path, sent())
    return path


def begin(directory, *more):
    with open(os.path.join(directory, "run.jsonl"), "wb") as file:
        file.write(keeping.lines(keeping.header(), keeping.start(), *more))


def test_what_is_remembered_of_a_run_is_read_again_with_what_who_sent_it_added(directory):
    away.update(directory, state=away.RUNNING, step="started", asked={"gpus": "all"})
    found = away.read(directory)
    assert (found.host, found.state, found.step, found.project) == ("gpu1", "running", "started", "0" * 40)
    assert found.more == {"asked": {"gpus": "all"}}
    assert found.start["run"]["command"] == "train"
    away.create(directory, sent(host="other"))
    assert away.read(directory).host == "gpu1", "a folder that is there stays as it is"
    shutil.rmtree(directory)
    assert away.update(directory, state=away.LOST) is None


CHANGES = """
import sys
from gittrack.runs import away
for number in range(25):
    away.update(sys.argv[1], **{f"{sys.argv[2]}{number}": number})
"""


def test_processes_that_change_it_at_once_lose_nothing_of_what_the_others_said(directory):
    """As `attach`, `fetch` and `wait` of one run do."""
    argv = [sys.executable, "-c", CHANGES, directory]
    for process in [subprocess.Popen([*argv, name]) for name in "abc"]:
        assert process.wait() == 0
    assert away.read(directory).more == {f"{name}{number}": number for name in "abc" for number in range(25)}


def test_nothing_is_changed_of_a_run_that_came_home_meanwhile(directory, monkeypatch):
    read = away.read
    monkeypatch.setattr(away, "read", lambda path: (read(path), shutil.rmtree(path))[0])
    assert away.update(directory, state=away.RUNNING) is None
    assert not os.path.exists(directory)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"host":7,"since":"x","start":[],"state":"gone"}'])
def test_a_file_that_cannot_be_read_keeps_the_run_away_all_the_same(directory, store, content):
    with open(away.path(directory), "wb") as file:
        file.write(content)
    assert (away.read(directory).host, away.read(directory).state) == ("?", away.LOST)
    assert live.state(directory, live.here()) == live.AWAY
    assert overlay.rows(store.paths, [ID], {}) == {}


def test_it_is_queued_until_its_journal_comes_and_lost_when_its_host_says_nothing(store, directory):
    row = overlay.rows(store.paths, [ID], {})[ID]
    assert (row.status, row.host, row.command, row.live, row.tip) == ("queued", "gpu1", "train", True, None)
    assert 5 <= row.duration < 60
    away.update(directory, state=away.RUNNING)
    begin(directory, keeping.point(3))
    row = overlay.rows(store.paths, [ID], {})[ID]
    assert (row.status, row.host, row.metrics["loss"]["last_step"]) == ("running", "gpu1", 3)
    old = time.time() - away.PATIENCE - 1
    os.utime(away.path(directory), (old, old))
    row = overlay.rows(store.paths, [ID], {})[ID]
    assert (row.status, row.heartbeat) == ("lost?", pytest.approx(old, abs=0.1))
    away.touch(directory)
    assert overlay.rows(store.paths, [ID], {})[ID].status == "running"
    away.update(directory, state=away.LOST)
    assert overlay.rows(store.paths, [ID], {})[ID].status == "lost?"


def test_nobody_cuts_ends_or_folds_it(store, directory):
    begin(directory, keeping.point(1))
    before = sorted(os.listdir(directory))
    assert live.state(directory, live.here()) == live.AWAY
    assert live.over(store.paths) == []
    assert folding.Folder.open(store, directory) is None
    assert folding.fold_dead(store, 2000.0, force=True) == folding.Dead([], [])
    assert sorted(os.listdir(directory)) == before
    assert store.refs(layout.RUNS) == {}


def test_one_whose_host_is_gone_for_good_is_closed_with_what_has_come(store, directory, track):
    begin(directory, keeping.point(1))
    os.unlink(away.path(directory))
    track("recover", "--force")
    assert b'"crashed"' in store.read_path(store.refs(layout.run_ref(ID))[layout.run_ref(ID)], "status.json")
    assert not os.path.exists(directory)


def test_one_of_which_all_has_come_is_folded_by_whoever_comes_by(store, directory):
    """The process that brought it was killed between the last cut and the last commit."""
    begin(directory, keeping.point(1), keeping.end())
    size = os.path.getsize(os.path.join(directory, "run.jsonl"))
    with open(os.path.join(directory, "cuts.jsonl"), "w") as file:
        file.write(json.dumps({"files": {"run.jsonl": size}, "n": 0, "reason": "final", "status": None, "w": 1100.0}))
        file.write("\n")
    assert folding.fold_dead(store, 2000.0).folded == [ID]
    assert not os.path.exists(directory)
    assert layout.run_ref(ID) in store.refs(layout.RUNS)


def test_a_journal_that_claims_a_run_that_is_known_moves_no_ref(store, directory):
    builder.write_runs(store, [builder.journal(7, {}, [0.5])])
    known = builder.run_id(7)
    tip = store.refs(layout.run_ref(known))
    folder = live.folder(store.paths, known)
    away.create(folder, sent())
    lines = builder.journal(7, {}, [0.25, 0.125])
    with open(os.path.join(folder, "run.jsonl"), "wb") as file:
        file.write(lines)
    with open(os.path.join(folder, "cuts.jsonl"), "w") as file:
        for number, reason in enumerate(("time", "final")):
            cut = {"files": {"run.jsonl": len(lines)}, "n": number, "reason": reason, "status": None, "w": 2e9}
            file.write(json.dumps(cut) + "\n")
    with pytest.raises(errors.RefConflict, match="other things"):
        folding.fold_dead(store, 2000.0)
    assert store.refs(layout.run_ref(known)) == tip


def test_commands_that_remove_things_leave_it_alone(store, directory, fresh):
    begin(directory)
    with pytest.raises(errors.UsageError, match="going"):
        purge.plan(store, [ID], {})
    assert uninstall.plan(store).live == (ID,)
    assert burial._live(store, burial.Tombstones({ID}, set())) == [ID]
    assert os.path.exists(directory)
    elsewhere = os.path.join(os.path.dirname(store.paths.common_dir), "copied")
    shutil.copytree(directory, elsewhere)
    with pytest.raises(errors.UsageError, match="at a host"):
        journals.look(store, elsewhere)


@pytest.mark.parametrize("begun", [False, True])
def test_it_cannot_be_deleted_while_it_goes_on(store, directory, fresh, begun):
    if begun:
        away.update(directory, state=away.RUNNING)
        begin(directory)
    with pytest.raises(errors.UsageError, match="still going"):
        Annotations(store, fresh(), ME).delete([ID])


def test_cleaning_up_keeps_what_its_journal_needs(store, directory):
    kept = live_store(store).put_bytes(b"x" * 100_000)
    begin(directory, keeping.checkpoint(1, 1), keeping.kept(1, "m.pt", b"x" * 100_000, where="store"))
    assert needs.of_clone(store).digests == {kept.sha256}
    assert gc.plan(store, time.time() + 1e9, grace=0.0).sweep == {}
    shutil.rmtree(directory)
    assert gc.plan(store, time.time() + 1e9, grace=0.0).sweep


def live_store(store):
    return keeping.open_local(live.track_dir(store.paths))


def test_the_doctor_says_where_it_is_and_when_nothing_was_heard_of_it(store, directory):
    said = [finding.text for finding in doctor.examine(Patient(store, os.environ))]
    assert any("at a host: 0123456" in text for text in said), said
    os.utime(away.path(directory), (1, 1))
    found = [
        one for one in doctor.examine(Patient(store, os.environ)) if "no word from gpu1 of run 0123456" in one.text
    ]
    assert [one.command for one in found] == ["git track fetch gpu1"]


def test_what_it_printed_may_not_drive_a_terminal_not_even_when_it_has_come(store, directory, track):
    begin(directory, keeping.point(1), keeping.end())
    with open(os.path.join(directory, "console.log"), "wb") as file:
        file.write(b"\x1b]0;title\x07\n")
    shown = track("logs", ID[:7]).stdout
    assert "\x1b" not in shown and "title" in shown
    files = {"run.jsonl": os.path.getsize(os.path.join(directory, "run.jsonl")), "console.log": 11}
    with open(os.path.join(directory, "cuts.jsonl"), "w") as file:
        file.write(json.dumps({"files": files, "n": 0, "reason": "final", "status": None, "w": 1100.0}) + "\n")
    assert folding.fold_dead(store, 2000.0).folded == [ID]
    assert track("logs", ID[:7]).stdout == shown


def test_the_commands_that_show_runs_show_it(directory, track):
    begin(directory, keeping.point(3))
    away.update(directory, state=away.RUNNING)
    with open(os.path.join(directory, "console.log"), "w") as file:
        file.write("epoch 1\n")
    assert "gpu1" in track("ps").stdout and "0.25" in track("ps").stdout
    assert "running" in track("ls").stdout
    assert "gpu1" in track("show", ID[:7]).stdout
    assert track("logs", ID[:7]).stdout == "epoch 1\n"
    assert json.loads(track("ls", "--json").stdout)[0]["host"] == "gpu1"


def test_a_run_that_has_not_begun_is_shown_too(directory, track):
    assert "queued" in track("ps").stdout
    assert "queued" in track("show", ID[:7]).stdout
    assert "printed" in track("logs", ID[:7]).stderr


@pytest.mark.parametrize("found", [None, "3600", True, 1.5, float("nan"), 1e300, [3600]])
def test_how_far_clocks_differ_is_nothing_where_it_is_not_known_or_within_what_can_be_known(found):
    assert away.Away("gpu1", more={"ahead": found}).ahead == 0.0
    assert away.Away("gpu1", more={"ahead": -3600}).ahead == -3600.0
