"""The whole way of a job, step by step, with a real SSH server, a real Docker engine and a real training script.

Read it from the top: it is what a user does, and what becomes of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rig_docker import Engine
from rig_ssh import Site

TRAINING = """
import argparse, sys
import gittrack

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
options = parser.parse_args()
run = gittrack.init()
for step in range(3):
    run.log({"loss": 1 / (step + 1) * options.lr}, step=step)
    print("step", step, flush=True)
print("done", file=sys.stderr)
"""


@pytest.fixture
def project(repo: Path, site: Site, sealed: Path, dockerd: Engine, python_image: str) -> Path:
    """A project whose gittrack.yaml names the machine `gpu1`."""
    site.configure(sealed, known=False)
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    )
    (repo / "train.py").write_text(TRAINING)
    return repo


def test_a_training_at_a_host_from_the_first_command_to_the_last(
    project: Path, track: Callable[..., Any], git: Callable[..., str], site: Site
) -> None:
    # Steps 1 to 7: reach, look, send, environment, run, watch, back. Nothing is committed, nothing set up at the host.
    done = track("run", "-H", "gpu1", "--accept-new", "python3", "train.py", "--lr", "0.5")
    assert done.stdout == "step 0\nstep 1\nstep 2\n"
    assert "done\n" in done.stderr
    print(done.stderr)
