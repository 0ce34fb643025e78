"""Runs that go on at once in one work tree may write the same files: the record says so."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import TRACK


def warnings(repo: Path, track: Callable[..., Any]) -> str:
    return str(track("show", "latest").stdout)


def test_a_metric_file_read_beside_another_run_is_said_to_be_in_doubt(repo: Path, track: Callable[..., Any]) -> None:
    (repo / "gittrack.yaml").write_text("metrics: [results.json]\n")
    other = subprocess.Popen([TRACK, "run", "-q", "sh", "-c", "echo up; read line"], cwd=repo, stdin=-1, stdout=-1)
    assert other.stdin and other.stdout
    assert other.stdout.readline() == b"up\n"
    track("run", "-q", "sh", "-c", """echo '{"acc": 0.5}' > results.json""")
    assert "another run went on in this clone meanwhile" in warnings(repo, track)
    other.stdin.close()
    other.stdout.close()
    assert other.wait(60) == 1
    track("run", "-q", "sh", "-c", """echo '{"acc": 0.25}' > results.json""")
    assert "another run" not in warnings(repo, track)
    assert "0.25" in warnings(repo, track)
