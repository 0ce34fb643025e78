"""`git track run --container`: the engine of this machine is a host like any other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig_docker import Engine


def test_a_run_in_a_container_is_recorded_as_one_here_would_be(
    repo: Path, track: Callable[..., Any], git: Callable[..., str], dockerd: Engine, python_image: str
) -> None:
    (repo / "train.py").write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    done = track("run", "--container", "--image", python_image, "python3", "train.py", DOCKER_HOST=dockerd.host)
    assert done.stdout == "out\n" and "err\n" in done.stderr
    print(done.stderr)
