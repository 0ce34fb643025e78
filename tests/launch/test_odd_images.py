"""Jobs in images that set things which would break a Python, a shell, or us; each of them has been seen somewhere."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker

Track = Callable[..., Any]
ODD = {
    "no-tmp": "RUN rm -rf /tmp /var/tmp /usr/tmp",
    "a-user-of-its-own": "RUN useradd --create-home app\nUSER app\nWORKDIR /home/app",
    "no-such-user": "USER nobody-here",
    "a-folder-that-is-not-there": "WORKDIR /somewhere/else\nRUN rmdir /somewhere/else",
    "an-entrypoint": 'ENTRYPOINT ["/bin/false", "x"]\nCMD ["y"]',
    "paths-of-python": "ENV PYTHONPATH=/nowhere:/work PYTHONHOME= PYTHONSTARTUP=/no/file PYTHONNOUSERSITE=1",
    "switches-of-python": "ENV PYTHONOPTIMIZE=2 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 "
    "PYTHONWARNINGS=error PYTHONHASHSEED=0 PYTHONFAULTHANDLER=1 PYTHONUTF8=0",
    "a-broken-locale": "ENV LANG=xx_YY.UTF-8 LC_ALL=xx_YY.ISO-8859-1 LANGUAGE=klingon",
    "the-plain-locale": "ENV LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONIOENCODING=utf-8",
    "nowhere-for-files": "ENV TMPDIR=/no/such/folder HOME=/no/such/home XDG_CACHE_HOME=/proc/cache",
    "another-path": "RUN mkdir /py && ln -s $(command -v python3) /py/python3\nENV PATH=/py",
    "variables-of-ours": "ENV GITTRACK_RUN_ID=1 GITTRACK_RUN_DIR=/nowhere",
    "volumes": "VOLUME /work /gittrack /tmp",
    "health": "HEALTHCHECK --interval=1s CMD false\nSTOPSIGNAL SIGKILL",
    "a-sitecustomize": 'RUN echo \'import os; os.environ["SITE"] = "of the image"\' > '
    "$(python3 -c 'import site; print(site.getsitepackages()[0])')/sitecustomize.py",
}
SCRIPT = """
import argparse, os, subprocess, sys, tempfile
import gittrack
options = argparse.ArgumentParser()
options.add_argument("--lr", type=float)
options.parse_args()
run = gittrack.init({"size": 3})
for step in range(3):
    run.log({"loss": 1 / (step + 1)}, step=step)
open("model.bin", "wb").write(bytes(3_000_000))
run.checkpoint(2, {"loss": 1 / 3}, path="model.bin")
child = subprocess.run([sys.executable, "-c", "import gittrack; gittrack.current_run().log({'child': 1}, step=0)"])
tempfile.TemporaryFile().close()
sys.stdout.buffer.write("größe ✓\\n".encode())
print(os.getcwd(), child.returncode)
"""


@pytest.fixture
def image(
    request: pytest.FixtureRequest, dockerd: rig_docker.Engine, python_image: str, tmp_path: Path
) -> Iterator[str]:
    name = f"local/odd:{request.param}"
    (tmp_path / "Dockerfile").write_text(f"FROM {python_image}\n{ODD[request.param]}\n")
    dockerd.docker("build", "-q", "-t", name, str(tmp_path))
    yield name
    dockerd.docker("rmi", "-f", name, code=None)


@pytest.mark.parametrize("image", ODD, indirect=True)
def test_a_job_is_executed_and_recorded(
    image: str, repo: Path, track: Track, dockerd: rig_docker.Engine, tmp_path: Path
) -> None:
    (repo / "sub").mkdir()
    (repo / "sub" / "train.py").write_text(SCRIPT)
    call = ["run", "--container", "--image", image, "python3", "train.py", "--lr", "0.5"]
    done = track(*call, cwd=repo / "sub", DOCKER_HOST=dockerd.host)
    assert done.stdout == "größe ✓\n/work/sub 0\n"
    shown = json.loads(track("show", "--json").stdout)
    metrics = shown["summary"]["metrics"]
    assert (
        shown["status"]["status"] == "completed" and metrics["loss"]["last"] == 1 / 3 and metrics["child"]["count"] == 1
    )
    assert {name: one["value"] for name, one in shown["params"].items()} == {"lr": 0.5, "size": 3}
    track("checkout", "latest@2", "--artifacts", "-o", "out")
    assert (repo / "out" / "model.bin").stat().st_size == 3_000_000
