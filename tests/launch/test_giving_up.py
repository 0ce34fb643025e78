"""A host that is gone for good: its run ends here, and says that the rest is not known. Nothing is lost by that when
the host comes back all the same."""

import contextlib
import json
import os

import keeping
import pytest
from common import noise
from host_journal import ID, PROJECT, Job, cloned, tip

from gittrack import errors
from gittrack.launch.home.fetching_host import fetch_host
from gittrack.launch.home.giving_up import REASON, give_up
from gittrack.launch.home.mirror import Mirror
from gittrack.runs import away, live

LARGE = noise(1, 300_000)


@pytest.fixture
def job():
    """Half of a training, of which a checkpoint was cut; with the description that `fetch` reads."""
    made = Job().start()
    start = {"run": keeping.start(ID)["run"], "goals": {"loss": "minimize"}}
    (made.path / "job.json").write_text(json.dumps({"format": 1, "id": ID, "project": PROJECT, "start": start}))
    made.write(keeping.point(1), keeping.checkpoint(1, 1))
    made.keep(1, {"model.pt": LARGE}, "store")
    made.cut()
    made.write(keeping.point(2))
    made.say(b"epoch 2\n")
    return made


def bring(home, here):
    with contextlib.closing(Mirror(here, home.paths, ID)) as mirror:
        mirror.sync()


def record(repo, name):
    return json.loads(repo.read_path(tip(repo, ID), name))


def test_what_has_come_is_recorded_also_what_was_not_cut_yet(job, home, here, repo, git, track):
    bring(home, here)
    before = tip(home)
    said = track("stop", "--give-up", ID[:8]).stderr
    assert f"run {ID[:7]} is given up" in said
    status = record(home, "status.json")
    assert (status["status"], status["reason"], status["exit_code"]) == ("crashed", REASON, None)
    assert record(home, "summary.json")["metrics"]["loss"]["last_step"] == 2
    assert "epoch 2" in track("logs", ID).stdout
    track("checkout", ID, "--artifacts", "-o", "out")
    assert (repo / "out" / "model.pt").read_bytes() == LARGE
    assert "not known" in track("show", ID).stdout
    assert git("merge-base", "--is-ancestor", before, tip(home)) == ""
    assert live.ids(home.paths) == []
    git("fsck", "--strict")


def test_of_a_run_of_which_nothing_came_its_start_is_recorded(home, git):
    give_up(home, ID, 3000.0)
    assert record(home, "status.json")["reason"] == REASON
    assert record(home, "run.json")["id"] == ID
    git("fsck", "--strict")


def test_a_torn_journal_and_a_file_that_did_not_come_are_no_obstacle(job, home, here, git):
    bring(home, here)
    directory = live.folder(home.paths, ID)
    job.write(keeping.point(3))
    with open(os.path.join(directory, "run.jsonl"), "ab") as file:
        file.write(keeping.lines(keeping.point(3))[:-5])
    with open(os.path.join(directory, keeping.STORER), "ab") as file:
        file.write(keeping.lines(keeping.kept(2, "small.txt", b"small", "git"), keeping.whole(2, 1)))
    give_up(home, ID, 3000.0)
    assert record(home, "status.json")["reason"] == REASON
    assert record(home, "summary.json")["metrics"]["loss"]["last_step"] == 2
    git("fsck", "--strict")


def test_a_host_that_comes_back_keeps_what_it_has_and_undo_brings_it(job, home, here, repo, track, tmp_path):
    bring(home, here)
    give_up(home, ID, 3000.0)
    given_up = tip(home)
    job.write(keeping.point(5))
    job.end()
    found = fetch_host(here, home, PROJECT)
    assert (found.home, list(found.refused)) == ([], [ID])
    assert "given up here" in found.refused[ID]
    assert tip(home) == given_up
    assert not (job.path / "fetched").exists() or os.listdir(job.path / "fetched") == []
    track("undo")
    assert fetch_host(here, home, PROJECT).home == [ID]
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))
    assert record(home, "status.json")["status"] == "completed"


def test_what_is_over_or_of_this_machine_cannot_be_given_up(job, home, here, repo, track):
    job.end()
    bring(home, here)
    with pytest.raises(errors.RunNotFound):
        give_up(home, ID, 3000.0)
    assert "at no host" in track("stop", "--give-up", ID, code=None).stderr
    assert record(home, "status.json")["status"] == "completed"


def test_one_that_another_process_is_bringing_is_left_to_it(job, home, here):
    with contextlib.closing(Mirror(here, home.paths, ID)) as mirror:
        mirror.sync()
        with pytest.raises(errors.RunNotFound, match="another process"):
            give_up(home, ID, 3000.0)
        assert away.is_there(live.folder(home.paths, ID))
    give_up(home, ID, 3000.0)


@pytest.mark.parametrize("stage", ["advance", "remove"])
def test_killed_on_the_way_it_is_done_by_the_next_command(job, home, here, monkeypatch, track, stage):
    bring(home, here)

    def killed(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"gittrack.runs.folding.Following.{stage}", killed)
        with pytest.raises(KeyboardInterrupt):
            give_up(home, ID, 3000.0)
    track("ls")
    assert record(home, "status.json")["reason"] == REASON
    assert live.ids(home.paths) == []
