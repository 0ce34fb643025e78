"""Files that torch.save wrote and a checkpoint has, too: one file in every count, and let go of together."""

import json
import sys
from pathlib import Path
from typing import Any

TRAINING = """
import gittrack, torch
run = gittrack.init(experiment="e")
for step in range(5):
    torch.manual_seed(step)
    torch.save({"w": torch.rand(500_000)}, "model.pt")
    run.checkpoint(path="model.pt", step=step, metrics={"loss": 5.0 - step}, primary_metric=("loss", "minimize"))
torch.save({"w": torch.rand(500_000)}, "model.pt")
"""
ONE = 2_000_000


def _du(track: Any) -> int:
    found: dict[str, int] = json.loads(track("du", "--json").stdout)
    return found["store"]


def test_keep_frees_what_the_usual_training_makes(repo: Path, track: Any) -> None:
    (repo / "train.py").write_text(TRAINING)
    (repo / "gittrack.yaml").write_text("keep: {latest: 1}\n")
    said = track("run", sys.executable, "train.py").stderr
    assert "6 files kept, 12.0 MB" in said, "five of checkpoints, and one that torch.save alone wrote"
    assert "6, 12.0 MB" in track("show").stdout
    [counted] = json.loads(track("du", "--json").stdout)["runs"]
    assert counted["files"] == 6 and counted["size"] < 6.1 * ONE
    before = _du(track)
    assert before > 6 * ONE
    assert "lets go of the files of 4 checkpoints" in track("gc", "--grace", "0", "--yes").stdout
    assert 2 * ONE < _du(track) < 2.1 * ONE, "the latest checkpoint, and what is in none"
    assert json.loads(track("gc", "--grace", "0", "--json").stdout)["keep"] == {}
    assert "but of 4 files that it let go of, 4 are gone" in track("undo").stdout
    assert "removed before that was undone: 4 files" in track("doctor").stdout


def test_keep_best_frees_it_as_well_and_counts_checkpoints(repo: Path, track: Any) -> None:
    training = TRAINING + "run.finish()\nprint(gittrack.keep_best(run, n=1))\n"
    (repo / "train.py").write_text(training.replace('experiment="e"', ""))
    assert track("run", sys.executable, "train.py").stdout.splitlines()[-1] == "4"
    track("gc", "--grace", "0", "--yes")
    assert _du(track) < 2.1 * ONE
