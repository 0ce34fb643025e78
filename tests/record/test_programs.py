"""What people start under `git track run`: other environments, modules, scripts, many processes, files of their own."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import wait_until

from gittrack.core import codec

Git = Callable[..., str]
Track = Callable[..., "subprocess.CompletedProcess[str]"]
ARGPARSE = (
    "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.1)\n"
    "a = p.parse_args()\nimport gittrack\ngittrack.init().log({'loss': a.lr}, step=1)\n"
)


def read(git: Git, name: str) -> Any:
    [ref] = git("for-each-ref", "--format=%(refname)", "refs/track/runs").split()
    text = git("show", f"{ref}:{name}")
    return codec.loads(text) if name.endswith(".json") else text


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that has nothing installed."""
    path = tmp_path_factory.mktemp("bare")
    venv.create(path, with_pip=False, symlinks=True)
    return str(path / "bin" / "python")


def test_an_environment_without_gittrack(repo: Path, track: Track, git: Git, bare: str) -> None:
    (repo / "train.py").write_text(ARGPARSE)
    track("run", bare, "train.py", "--lr", "0.5")
    assert read(git, "params.json")["lr"] == {"source": "argparse", "value": 0.5}
    assert read(git, "summary.json")["metrics"]["loss"]["last"] == 0.5
    assert read(git, "environment/python.json")["prefix"] == str(Path(bare).parent.parent)
    assert "gittrack" not in read(git, "environment/requirements.txt")


def test_a_module(repo: Path, track: Track, git: Git) -> None:
    (repo / "pkg").mkdir()
    (repo / "pkg" / "__init__.py").touch()
    (repo / "pkg" / "train.py").write_text(ARGPARSE)
    track("run", sys.executable, "-m", "pkg.train", "--lr", "0.25")
    assert read(git, "params.json")["lr"]["value"] == 0.25


def test_a_shell_script_of_several_steps(repo: Path, track: Track, git: Git, bare: str) -> None:
    (repo / "train.py").write_text(ARGPARSE)
    script = repo / "all.sh"
    script.write_text(
        f"#!/bin/bash\nset -e\n{bare} -c 'print(1)'\n{bare} train.py --lr 0.5 | cat\n{bare} -c 'print(2)'\n"
    )
    script.chmod(0o755)
    track("run", "./all.sh")
    assert read(git, "params.json")["lr"]["value"] == 0.5
    assert read(git, "console/000/00.log") == "1\n2"


def test_uv_run(repo: Path, track: Track, git: Git, bare: str) -> None:
    uv = shutil.which("uv") or pytest.skip("uv is not installed")
    (repo / "train.py").write_text(ARGPARSE)
    track("run", uv, "run", "--no-project", "--offline", "--python", bare, "train.py", "--lr", "0.5")
    assert read(git, "params.json")["lr"]["value"] == 0.5
    assert read(git, "summary.json")["metrics"]["loss"]["last"] == 0.5


def test_sixteen_processes_of_one_run(repo: Path, track: Track, git: Git) -> None:
    (repo / "rank.py").write_text(
        "import gittrack, os\nrun = gittrack.init()\n"
        "for n in range(500): run.log({'x': n, 'rank' + os.environ['RANK']: n}, step=n)\n"
    )
    (repo / "train.py").write_text(
        "import os, subprocess, sys\n"
        "def rank(n): return subprocess.Popen([sys.executable, 'rank.py'], env={**os.environ, 'RANK': str(n)})\n"
        "ranks = [rank(n) for n in range(16)]\n"
        "assert [each.wait() for each in ranks] == [0] * 16\n"
    )
    track("run", sys.executable, "train.py")
    metrics = read(git, "summary.json")["metrics"]
    assert metrics["x"]["count"] == 500  # of rank 0
    assert all(metrics[f"rank{n}"]["count"] == 500 for n in range(16))


def test_files_that_the_script_writes_by_itself(repo: Path, track: Track, git: Git) -> None:
    (repo / "gittrack.yaml").write_text(
        "metrics: [results.json, log.csv, never.json]\nparams: [params.yaml]\ngoals: {loss: minimize}\n"
    )
    (repo / "params.yaml").write_text("model: {depth: 3}\n")
    (repo / "train.py").write_text(
        "open('results.json', 'w').write('{\"loss\": 0.25, \"val\": {\"acc\": 0.9}}')\n"
        "open('log.csv', 'w').write('epoch,loss2\\n1,3\\n2,4\\n')\n"
    )
    done = track("run", sys.executable, "train.py")
    assert "the metric file never.json was not written" in done.stderr
    summary = read(git, "summary.json")
    assert summary["metrics"]["loss"]["best"] == 0.25 and summary["metrics"]["val/acc"]["last"] == 0.9
    assert (summary["metrics"]["loss2"]["last"], summary["metrics"]["loss2"]["last_step"]) == (4, 2)
    assert read(git, "params.json")["model.depth"] == {"source": "file:params.yaml", "value": 3}
    assert read(git, "status.json")["warnings"] == ["the metric file never.json was not written"]


def test_system_metrics_come_after_a_second(repo: Path, track: Track, git: Git) -> None:
    (repo / "train.py").write_text(
        "import os, pathlib, time\nx = bytearray(50_000_000)\nplace = pathlib.Path(os.environ['GITTRACK_RUN_DIR'])\n"
        "while not any(b'system/process_memory_mb' in each.read_bytes() for each in place.glob('*.jsonl')):\n"
        "    time.sleep(0.1)\n"
    )
    track("run", sys.executable, "train.py")
    metrics = read(git, "summary.json")["metrics"]
    assert metrics["system/process_memory_mb"]["last"] > 50 and 0 <= metrics["system/cpu_percent"]["last"] <= 100


def test_settings_and_options_switch_things_off(repo: Path, track: Track, git: Git) -> None:
    (repo / "gittrack.yaml").write_text("autolog: false\nexperiment: from-file\n")
    (repo / "train.py").write_text(
        ARGPARSE.replace("import gittrack\ngittrack.init().log({'loss': a.lr}, step=1)\n", "")
    )
    track("run", sys.executable, "train.py")
    assert read(git, "params.json") == {} and read(git, "run.json")["experiment"] == "from-file"


def test_a_broken_settings_file_is_refused_before_anything_runs(repo: Path, track: Track, git: Git) -> None:
    (repo / "gittrack.yaml").write_text("metricz: [a.json]\n")
    done = track("run", "touch", "ran", code=78)
    assert "metrics" in done.stderr and not (repo / "ran").exists()
    assert git("for-each-ref", "refs/track") == "" and not os.listdir(repo / ".git" / "track" / "live")


def test_a_training_that_outlives_its_shell_goes_on(repo: Path, git: Git) -> None:
    track = str(Path(sys.executable).parent / "git-track")
    subprocess.run(
        ["sh", "-c", f"nohup {track} run -q sh -c 'sleep 0.5; echo done' > out.txt 2>&1 &"], cwd=repo, check=True
    )
    wait_until(lambda: git("for-each-ref", "refs/track/runs"))
    wait_until(lambda: not os.listdir(repo / ".git" / "track" / "live"))
    assert read(git, "status.json")["status"] == "completed" and (repo / "out.txt").read_text() == "done\n"
