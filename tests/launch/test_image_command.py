"""`git track image`, as it is called."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rig_docker

Track = Callable[..., subprocess.CompletedProcess[str]]
CA = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def track_here(
    track: Track, repo: Path, git: Callable[..., str], dockerd: rig_docker.Engine, python_image: str
) -> Iterator[Track]:
    """git track with this machine's engine, in a repository whose images are removed afterwards."""
    (repo / "gittrack.yaml").write_text(f"base_image: {python_image}\nbuild: {{network: host, ca: {CA}}}\n")
    (repo / "requirements.txt").write_text("iniconfig==2.0.0\n")
    # Another project than that of another test: the same first commit would be the same project.
    git("commit", "-q", "--amend", "--allow-empty", "-m", f"First commit of {repo}")

    def call(*args: str, **more: object) -> subprocess.CompletedProcess[str]:
        return track(*args, DOCKER_HOST=dockerd.host, **more)  # type: ignore[arg-type]

    yield call
    project = git("rev-list", "--max-parents=0", "HEAD")
    for name in dockerd.docker("images", "-q", "--filter", f"label=gittrack.project={project}").split():
        dockerd.docker("rmi", "-f", name, code=None)


def test_an_image_is_built_listed_and_removed(track_here: Track, dockerd: rig_docker.Engine) -> None:
    first = track_here("image", "build")
    name = first.stdout.strip()
    assert name.startswith("gittrack/") and "requirements.txt" in first.stderr
    again = track_here("image", "build")
    assert (again.stdout.strip(), again.stderr) == (name, "")
    table = track_here("image", "ls").stdout
    assert name in table and f"requirements.txt on {rig_docker.PYTHON}" in table
    (listed,) = json.loads(track_here("image", "ls", "--json").stdout)
    assert listed["names"] == [name]

    # A run in it says which image that was, and of what it was made.
    track_here("run", "--container", "python", "-c", "import iniconfig")
    card = track_here("show", "latest").stdout
    assert f"{name} ({listed['id'][7:19]})" in card and f"requirements.txt on {rig_docker.PYTHON}" in card
    assert track_here("image", "prune").stdout.startswith("no image is older than 30 days")
    assert track_here("image", "prune", "--days", "0", "-n").stdout == f"would remove {name}\n"
    assert track_here("image", "prune", "--days", "0").stdout == f"removed {name}\n"
    assert not dockerd.has(name) and dockerd.has(rig_docker.PYTHON)


def test_an_image_of_a_run_executes_it_again_with_nothing_else(
    track_here: Track, dockerd: rig_docker.Engine, repo: Path
) -> None:
    (repo / "sub dir").mkdir()
    script = "import iniconfig, os, sys\nprint(os.getcwd(), sys.argv[1:], iniconfig.__name__, open('data').read())\n"
    (repo / "sub dir" / "train.py").write_text(script)
    (repo / "sub dir" / "data").write_text("uncommitted")
    argv = ["python3", "train.py", "--name", 'a "b" $(c)\n']
    track_here("run", "--name", "first", *argv, cwd=repo / "sub dir", code=None)
    (repo / "sub dir" / "data").write_text("changed since")
    assert track_here("image", "build", "first", "--tag", "local/test-of-a-run:1").stdout == "local/test-of-a-run:1\n"
    said = dockerd.docker("run", "--rm", "--network", "none", "--user", "1234:1234", "local/test-of-a-run:1")
    assert said == "/work/sub dir ['--name', 'a \"b\" $(c)\\n'] iniconfig uncommitted"


def test_ctrl_c_ends_a_build_at_the_engine_too(track_here: Track, dockerd: rig_docker.Engine, repo: Path) -> None:
    marker = f"sleep 98{os.getpid()}"
    with open(repo / "gittrack.yaml", "a") as file:
        file.write(f"install: [{marker}]\n")
    environ = {**os.environ, "DOCKER_HOST": dockerd.host}
    call = subprocess.Popen(["git-track", "image", "build"], cwd=repo, env=environ, stderr=subprocess.PIPE, text=True)

    def building() -> bool:
        return marker in dockerd.docker("ps", "--no-trunc", "--format", "{{.Command}}")

    until(building)
    call.send_signal(signal.SIGINT)
    said = call.communicate(timeout=60)[1]
    assert call.returncode == 130 and "Traceback" not in said
    until(lambda: not building())


def until(true: Callable[[], bool], patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_registry_that_does_not_answer_and_calls_that_make_no_sense_are_told(track_here: Track) -> None:
    failed = track_here("image", "push", "localhost:1/team/iris:1", code=87)
    assert "localhost:1/team/iris:1" in failed.stderr or "registry" in failed.stderr
    meant_for_others = (["push", "x:1", "--dry-run"], ["build", "--dry-run"], ["ls", "--no-cache"])
    for wrong in (["push"], ["ls", "x"], ["build", "--run", "x"], ["build", "--tag", "x"], *meant_for_others):
        assert "hint" in track_here("image", *wrong, code=2).stderr


SCRIPT = """
import os, random
import gittrack
with gittrack.init({"lr": 0.5}) as run:
    run.log({"loss": 0.25}, step=1)
    open("model.pt", "wb").write(random.Random(1).randbytes(3_000_000))
    run.checkpoint(1, {"loss": 0.25}, path="model.pt")
print("trained", os.environ.get("TOKEN"))
"""


def test_a_container_of_a_runs_image_records_a_run_that_can_be_imported(
    track_here: Track, dockerd: rig_docker.Engine, repo: Path, tmp_path: Path
) -> None:
    (repo / "train.py").write_text(SCRIPT)
    track_here("run", "--name", "first", "--param", "size=3", "python3", "train.py")
    track_here("image", "build", "first", "--tag", "local/test-of-a-run:2", SOME_TOKEN="here-and-nowhere-else")
    assert "here-and-nowhere-else" not in dockerd.docker(
        "run", "--rm", "--entrypoint", "cat", "local/test-of-a-run:2", "/gittrack/job.json"
    )
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    call = ["run", "--rm", "--network", "none", "--user", "1234:1234", "-v", f"{out}:/gittrack/runs"]
    said = dockerd.docker(*call, "-e", "TOKEN=tok-0123456789", "local/test-of-a-run:2")
    assert said == "trained tok-0123456789"
    (folder,) = out.iterdir()
    assert track_here("import", str(folder)).stdout.startswith(f"imported run {folder.name[:7]} (python3 train.py)")
    shown = json.loads(track_here("show", folder.name, "--json").stdout)
    assert shown["status"]["status"] == "completed" and shown["summary"]["metrics"]["loss"]["last"] == 0.25
    assert {name: one["value"] for name, one in shown["params"].items()} == {"lr": 0.5, "size": 3}
    first = json.loads(track_here("show", "first", "--json").stdout)
    assert shown["run"]["snapshot"] == first["run"]["snapshot"] and shown["run"]["origin"]["run"] == first["run"]["id"]
    assert track_here("logs", folder.name).stdout == "trained [redacted]\n"
    track_here("checkout", f"{folder.name}@1", "--artifacts", "-o", "checked")
    assert (repo / "checked" / "model.pt").stat().st_size == 3_000_000
    assert track_here("import", str(folder)).stdout == f"run {folder.name[:7]} is here already: nothing new\n"

    # Another command in it is another run; a container where nothing can be kept executes it all the same.
    done = subprocess.run(
        ["docker", "--host", dockerd.host, *call, "local/test-of-a-run:2", "sh", "-c", "exit 3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3 and "recorded in /gittrack/runs/" in done.stderr and len(list(out.iterdir())) == 2
    sealed = ["run", "--rm", "--read-only", "--ipc", "none", "local/test-of-a-run:2"]
    done = subprocess.run(
        ["docker", "--host", dockerd.host, *sealed, "python3", "-c", "import gittrack; print(gittrack.__version__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count(".") == 2 and "nothing is recorded" in done.stderr
