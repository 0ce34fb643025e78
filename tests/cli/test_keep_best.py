"""`gittrack.keep_best`, on finished runs, from a name, and inside a training."""

import json
import subprocess
import sys

import pytest
import stored
from common import wait_until

import gittrack
from gittrack import errors
from gittrack.runs import pruning

LOSSES = {10: 0.5, 20: 0.1, 30: 0.4, 40: 0.3}


@pytest.fixture
def run(store, repo, monkeypatch):
    monkeypatch.chdir(repo)
    files = {step: {"model.pt": b"%d" % step * 50_000} for step in LOSSES}
    return stored.run(store, 1, files, LOSSES, {"plot.bin": b"p" * 2_000_000}, name="one")


def gone(store, run):
    return sorted(pruning.pruned(store).get(run, {}))


def test_the_best_ones_and_the_latest_stay(run, store):
    assert gittrack.keep_best(gittrack.runs()[0], n=1, metric="loss") == 2
    assert gone(store, run) == [stored.parcel(1, 10), stored.parcel(1, 30)]
    assert gittrack.keep_best("one", n=1) == 0, "again is nothing new"
    assert [len(one.metrics) for one in gittrack.runs()[0].checkpoints] == [1, 1, 1, 1]


def test_it_is_said_by_whom_git_would_name_the_author_of_a_commit(run, store, git, monkeypatch):
    for name in ("name", "email"):
        monkeypatch.delenv(f"GIT_AUTHOR_{name.upper()}")
        git("config", f"author.{name}", {"name": "Ada", "email": "ada@example.org"}[name])
    gittrack.keep_best("one", n=1)
    assert {op.who for op in pruning.pruned(store)[run].values()} == {"Ada <ada@example.org>"}


def test_the_way_that_is_better_can_be_given(run, store):
    assert gittrack.keep_best("one", n=1, metric="loss", goal="maximize") == 2
    assert gone(store, run) == [stored.parcel(1, 20), stored.parcel(1, 30)]


def test_it_is_refused_where_the_best_cannot_be_told(run, store):
    with pytest.raises(errors.UsageError, match="best cannot be said") as caught:
        gittrack.keep_best("one", metric="accuracy")
    assert "accuracy" in caught.value.hint
    stored.run(store, 2, {1: {"m": b"1"}, 2: {"m": b"2"}}, name="two")
    with pytest.raises(errors.UsageError) as caught:
        gittrack.keep_best("two")
    assert "no checkpoint has a value" in caught.value.hint
    with pytest.raises(ValueError, match="-1"):
        gittrack.keep_best("one", n=-1)


def test_git_track_undo_takes_it_back(run, store, repo):
    gittrack.keep_best("one", n=1)
    subprocess.run([sys.executable, "-m", "gittrack", "undo"], cwd=repo, check=True, capture_output=True)
    assert gone(store, run) == []


TRAINING = """
import gittrack, os
with gittrack.init(name="training") as run:
    for step, loss in enumerate([3.0, 1.0, 2.0, 4.0]):
        open("model.pt", "wb").write(b"%d" % step * 3_000_000)
        run.checkpoint(path="model.pt", step=step, metrics={"loss": loss}, primary_metric=("loss", "minimize"))
    os.chdir("/")
    print(gittrack.keep_best(run, n=1))
"""


def test_in_a_training_and_then_collected(store, repo, track):
    done = subprocess.run([sys.executable, "-c", TRAINING], cwd=repo, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    wait_until(lambda: "running" not in track("ls").stdout)
    found = json.loads(track("gc", "--grace", "0", "--json").stdout)
    assert found["objects"] > 0 and found["needed"] > 0
    kept = {one["step"]: one["sha256"] for one in json.loads(track("artifacts", "training", "--json").stdout)}
    assert set(kept) == {0, 1, 2, 3}
    for step, there in ((0, False), (1, True), (2, False), (3, True)):
        out = track("cat", f"training@{step}:model.pt", code=0 if there else 80)
        assert (len(out.stdout) == 3_000_000) == there
