"""A run that goes on where another one stopped: by the command line, by init, and what the script finds."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack import runs
from gittrack.compare.api import RunView

Track = Callable[..., object]

TRAIN = """
import gittrack, os, sys
run = gittrack.init(**eval(sys.argv[1] if len(sys.argv) > 1 else "{}"))
found = run.resume_checkpoint()
start = found.step + 1 if found else 0
count = int(found.open("out/state.txt").read()) if found else 0
for step in range(start, start + 3):
    count += 1
    os.makedirs("out", exist_ok=True)
    with open("out/state.txt", "w") as file:
        file.write(str(count))
    run.checkpoint(path="out", step=step, metrics={"loss": 1 / count})
print("RESUME", os.environ.get("GITTRACK_RESUME"), start, count)
"""


@pytest.fixture
def train(repo: Path) -> Path:
    (repo / ".gitignore").write_text("out\n")
    (repo / "train.py").write_text(TRAIN)
    return repo


def views(repo: Path) -> list[RunView]:
    """Oldest first."""
    return [*runs(repo=str(repo))][::-1]


def test_the_command_line_resumes_a_run(train: Path, track: Track) -> None:
    track("run", sys.executable, "train.py")
    done = track("run", "--resume", "latest", sys.executable, "train.py")
    first, second = views(train)
    assert f"RESUME {first.id} 3 6" in done.stdout  # type: ignore[attr-defined]
    assert second.record.facts["continues"] == {"run": first.id, "step": 2}
    assert second.parent_run == first
    assert [one.step for one in second.checkpoints] == [3, 4, 5]


def test_a_step_may_be_chosen(train: Path, track: Track) -> None:
    track("run", sys.executable, "train.py")
    done = track("run", "--resume", "latest@1", sys.executable, "train.py")
    first, second = views(train)
    assert f"RESUME {first.id}@1 2 5" in done.stdout  # type: ignore[attr-defined]
    assert second.record.facts["continues"] == {"run": first.id, "step": 1}


def test_init_resumes_a_run(train: Path, git: Callable[..., str]) -> None:
    def call(options: str) -> str:
        return subprocess.run(
            [sys.executable, "train.py", options], cwd=train, capture_output=True, text=True, check=True
        ).stdout

    assert "RESUME None 0 3" in call("{}")
    (first,) = views(train)
    assert f"RESUME {first.id} 3 6" in call("{'resume': 'latest'}")
    assert views(train)[1].record.facts["continues"] == {"run": first.id, "step": 2}
    assert f"RESUME {first.id}@0 1 4" in call(f"{{'resume': '{first.id}@0'}}")


def test_the_code_may_resume_a_run_that_the_command_line_began(train: Path, track: Track) -> None:
    track("run", sys.executable, "train.py")
    (first,) = views(train)
    done = track("run", sys.executable, "train.py", f"{{'resume': '{first.id}'}}")
    assert "RESUME None 3 6" in done.stdout  # type: ignore[attr-defined]
    assert views(train)[1].record.facts["continues"] == {"run": first.id, "step": 2}


def test_a_run_that_resumes_none_finds_none_even_inside_one_that_does(train: Path, track: Track) -> None:
    track("run", sys.executable, "train.py")
    git_track = str(Path(sys.executable).parent / "git-track")
    done = track("run", "--resume", "latest", git_track, "run", sys.executable, "train.py")
    assert "RESUME None 0 3" in done.stdout  # type: ignore[attr-defined]


def test_a_run_that_is_not_there_is_named_before_anything_runs(train: Path, track: Track) -> None:
    done = track("run", "--resume", "nothing", sys.executable, "train.py", code=None)
    assert done.returncode != 0 and "nothing" in done.stderr and "RESUME" not in done.stdout  # type: ignore[attr-defined]
    assert views(train) == []


def test_a_run_without_checkpoints_can_be_resumed_from_nothing(train: Path, track: Track) -> None:
    track("run", "true")
    done = track("run", "--resume", "latest", sys.executable, "train.py")
    assert " 0 3" in done.stdout  # type: ignore[attr-defined]
    facts = views(train)[1].record.facts
    assert json.dumps(facts["continues"]["step"]) == "null"


def test_a_step_without_a_checkpoint_is_refused_before_anything_runs(train: Path, track: Track) -> None:
    track("run", sys.executable, "train.py")
    done = track("run", "--resume", "latest@55", sys.executable, "train.py", code=66)
    assert "no checkpoint at step 55" in done.stderr and "0, 1, 2" in done.stderr  # type: ignore[attr-defined]
    assert "RESUME" not in done.stdout  # type: ignore[attr-defined]
    script = "import gittrack\ngittrack.init(resume='latest@55')\nprint('RESUME')"
    failed = subprocess.run([sys.executable, "-c", script], cwd=train, capture_output=True, text=True)
    assert "no checkpoint at step 55" in failed.stderr and "RESUME" not in failed.stdout
    assert len(views(train)) == 1 and not [*(train / ".git" / "track" / "live").iterdir()]


def test_that_there_is_no_checkpoint_to_resume_is_said_at_once(train: Path, track: Track) -> None:
    track("run", "true")
    (first,) = views(train)
    said = track("run", "--resume", "latest", "true").stderr  # type: ignore[attr-defined]
    assert f"run {first.id[:7]} has no checkpoint; starting afresh\n" in said
