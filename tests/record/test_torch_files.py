"""Files that torch.save writes, from the training to the record, as the settings say."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gittrack import runs

torch = pytest.importorskip("torch")

Track = Callable[..., Any]

TRAIN = """
import torch
{}
torch.save({{"w": torch.ones(3)}}, "model.pt")
torch.save({{"m": torch.ones(3)}}, "optimizer.pt")
"""


def kept(repo: Path) -> list[tuple[str, str]]:
    return [(one.kind, one.path) for one in runs(repo=str(repo))[0].artifacts]


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("", ["model.pt", "optimizer.pt"]),
        ("artifacts: true", ["model.pt", "optimizer.pt"]),
        ("artifacts: false", []),
        ("artifacts: [model*]", ["model.pt"]),
        ("artifacts: ['model*', '*/x', opt*]", ["model.pt", "optimizer.pt"]),
        ("autolog: false", []),
    ],
)
@pytest.mark.parametrize("how", ["run", "init"])
def test_the_settings_say_which_are_kept(repo: Path, track: Track, setting: str, names: list[str], how: str) -> None:
    (repo / "gittrack.yaml").write_text(setting)
    (repo / "train.py").write_text(TRAIN.format("import gittrack; gittrack.init()" if how == "init" else ""))
    if how == "run":
        track("run", sys.executable, "train.py")
    else:
        subprocess.run([sys.executable, "train.py"], cwd=repo, check=True)
    assert kept(repo) == [("torch", name) for name in names]


def test_a_state_comes_back_as_it_was_saved(repo: Path, track: Track) -> None:
    (repo / "train.py").write_text("""
import gittrack, torch
run = gittrack.init()
model = torch.nn.Linear(4, 2)
for step in range(3):
    torch.nn.init.constant_(model.weight, step)
    run.checkpoint(state={"model": model.state_dict(), "step": step}, step=step, metrics={"loss": 1.0 - step})
""")
    track("run", sys.executable, "train.py")
    (run,) = runs(repo=str(repo))
    assert [one.load()["step"] for one in run.checkpoints] == [0, 1, 2]
    assert torch.equal(run.latest().load()["model"]["weight"], torch.full((2, 4), 2.0))


def test_what_a_checkpoint_was_given_as_well_is_listed_once_as_the_checkpoints(repo: Path, track: Track) -> None:
    (repo / "train.py").write_text("""
import gittrack, os, torch
run = gittrack.init()
os.makedirs("out")
for step in range(2):
    for name in ("out/model.pt", "out/optimizer.pt", "out/other.pt"):
        torch.save({name: torch.full((3,), step)}, name)
    run.checkpoint(path=["out/model.pt", os.path.abspath("out/optimizer.pt")], step=step)
""")
    track("run", sys.executable, "train.py")
    (run,) = runs(repo=str(repo))
    once = [("torch", "out/other.pt"), ("checkpoint", "optimizer.pt"), ("checkpoint", "out/model.pt")]
    assert [(one.kind, one.path) for one in run.artifacts] == once * 2
    assert [line.split()[0] for line in track("artifacts").stdout.splitlines()[1:]] == [path for _, path in once] * 2
    assert run.checkpoints.at(1).load("out/model.pt")["out/model.pt"].tolist() == [1, 1, 1]
