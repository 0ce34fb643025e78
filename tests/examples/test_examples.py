"""Every example is run as its README says, in a repository of its own, and its runs are looked at."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.compare import api

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(repo, git):
    """Copy an example into the repository and commit it."""

    def copy(name: str) -> None:
        shutil.copytree(ROOT / "examples" / name, repo, dirs_exist_ok=True)
        git("add", ".")
        git("commit", "-q", "-m", f"Example {name}")

    return copy


@pytest.fixture
def runs(track):
    """The recorded runs as `ls --json` gives them, newest first."""

    def read(*args: str) -> list[dict]:
        return json.loads(track("ls", "--json", *args).stdout)

    return read


def test_iris_logs_metrics_and_checkpoints(example, repo, track, runs):
    pytest.importorskip("torch")
    example("iris")
    for lr in ("0.01", "0.1"):
        track("run", "python", "train.py", "--lr", lr, "--epochs", "30")
    newest, oldest = runs()
    assert (oldest["params"]["lr"], newest["params"]["lr"]) == (0.01, 0.1)
    assert newest["params"]["epochs"] == 30
    assert newest["metrics"]["accuracy"]["last"] > 0.8
    assert newest["checkpoints"] == 3
    assert newest["status"] == "completed"
    assert "checkpoint.pt" in track("artifacts", "best").stdout
    track("checkout", "best@best", "--artifacts", "-o", "best-model")
    run = api.runs(repo=str(repo)).best("val_loss")
    best = run.best()
    assert best.metrics["val_loss"] == min(one.metrics["val_loss"] for one in run.checkpoints)
    assert (repo / "best-model" / "checkpoint.pt").stat().st_size == best.files[0].size
    assert best.load()["model"]["0.weight"].shape == (16, 4)
    table = track("compare").stdout
    assert "lr" in table
    assert "val_loss" in table


def test_iris_goes_on_where_it_stopped(example, repo, track, runs):
    pytest.importorskip("torch")
    example("iris")
    track("run", "python", "train.py", "--epochs", "20")
    track("run", "--resume", "latest", "python", "train.py", "--epochs", "30")
    resumed, first = runs()
    assert resumed["continues"] == {"run": first["id"], "step": 20}
    assert f"{first['id'][:7]}@20" in track("ls").stdout
    series = api.runs(repo=str(repo))[0].metrics("val_loss", chain=True)
    assert series.index.tolist() == list(range(1, 31))
    assert series[21] < series[19]


def test_iris_trains_alone_too_and_is_then_its_own_run(example, repo, runs):
    pytest.importorskip("torch")
    example("iris")
    subprocess.run([sys.executable, "train.py", "--epochs", "2"], cwd=repo, check=True, capture_output=True)
    assert [run["params"]["epochs"] for run in runs()] == [2]


def test_iris_plain_needs_no_line_of_code(example, track, runs):
    pytest.importorskip("sklearn")
    example("iris_plain")
    track("run", "python", "train.py", "--lr", "0.05", "--epochs", "5")
    [run] = runs()
    assert run["params"] == {"lr": 0.05, "epochs": 5, "seed": 0}
    assert run["metrics"]["accuracy"]["last"] > 0.5
    assert run["metrics"]["val_loss"]["best"] > 0


def test_any_command_can_be_tracked(example, track, runs):
    example("shell")
    track("run", "-p", "x=2", "./train.sh", "2")
    [run] = runs()
    assert run["params"]["x"] == 2
    assert run["metrics"]["error"]["last"] < 1e-9
    assert "guess 1.4142135" in track("logs", "latest").stdout


def test_a_sweep_in_one_process_is_several_runs_of_one_snapshot(example, repo, runs):
    pytest.importorskip("torch")
    example("digits")
    done = subprocess.run(
        [sys.executable, "sweep.py", "--lr", "0.01", "0.1", "--epochs", "1"], cwd=repo, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "best: {" in done.stdout
    found = runs("--where", "experiment = 'digits'")
    assert [run["params"]["lr"] for run in found] == [0.1, 0.01]
    assert len({run["snapshot"] for run in found}) == 1


def test_the_notebook_runs_from_top_to_bottom(example, repo, runs, sealed):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    example("notebook")
    notebook = nbformat.read(repo / "track.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(repo)}}
    )
    client.create_kernel_manager().shutdown_wait_time = 60  # then it would be killed
    client.execute()
    table = notebook.cells[2].outputs[0]["data"]
    assert "decay" in table["text/html"]
    assert [run["experiment"] for run in runs()] == ["notebook"]


def test_the_demo_tells_its_story(tmp_path):
    pytest.importorskip("torch")
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "demo"), str(tmp_path)], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        "git track ls",
        "0.001",
        "tanh",
        "checkpoint.pt",
        "restored 1 file",
        "+    model = nn.Sequential(",
        "nn.Tanh()",
        "val_loss",
    ):
        assert expected in done.stdout
