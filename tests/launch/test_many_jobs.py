"""Jobs that are started at once, from one clone at one host."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig_docker import Engine
from rig_ssh import Site

JOBS = 6


def test_jobs_that_start_at_once_are_all_recorded(
    repo: Path, site: Site, dockerd: Engine, python_image: str, track: Callable[..., Any], git: Callable[..., str]
) -> None:
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {python_image}\n"
    )
    (repo / "train.py").write_text("import sys\nprint('job', sys.argv[1])\n")
    started = [
        subprocess.Popen(
            ["git-track", "run", "-H", "gpu1", "python3", "train.py", str(number)],
            cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(JOBS)
    ]  # fmt: skip
    for number, process in enumerate(started):
        out, err = process.communicate(timeout=200)
        assert (process.returncode, out) == (0, f"job {number}\n"), err
    assert [row["status"] for row in json.loads(track("ls", "--json").stdout)] == ["completed"] * JOBS
    git("fsck", "--strict")
