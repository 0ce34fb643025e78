"""Real trainings on real data at a host, also in images that are made from their requirements.

That of an image with torch takes a minute and more, most of it for the image: `GITTRACK_TEST_TORCH=1 pytest …`.
"""

import contextlib
import functools
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_ssh import Site

from gittrack.compare import api
from gittrack.launch.images.drivers import TORCH_INDEX

ROOT = Path(__file__).resolve().parents[2]
CA = "/etc/ssl/certs/ca-certificates.crt"
TORCH = "torch==2.13.0+cpu"  # the graphics one weighs gigabytes and shows nothing more here
WHEELS = f"{TORCH_INDEX}cpu"  # where it is had, if pip knows no place nearer by

TRAIN = """
import numpy
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import gittrack

images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images / 16, labels, random_state=0)
model = SGDClassifier(loss="log_loss", random_state=0)
run = gittrack.init(params={"model": "sgd"})
last = run.resume_checkpoint()
if last is not None:
    with last.open("weights.npz") as file:
        kept = numpy.load(file)
        model.partial_fit(train_x[:1], train_y[:1], classes=range(10))
        model.coef_, model.intercept_ = kept["coef"], kept["intercept"]
first = last.step + 1 if last else 1
for epoch in range(first, first + 3):
    model.partial_fit(train_x, train_y, classes=range(10))
    accuracy = model.score(test_x, test_y)
    run.log({"accuracy": accuracy}, step=epoch)
    numpy.savez("weights.npz", coef=model.coef_, intercept=model.intercept_)
    primary = ("accuracy", "maximize")
    run.checkpoint(step=epoch, metrics={"accuracy": accuracy}, primary_metric=primary, path="weights.npz")
    print("epoch", epoch, accuracy)
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with torch for the Python of the rig's images, from where pip finds it here."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--python-version", "3.11",
           "--only-binary", ":all:", "--dest", str(folder)]  # fmt: skip
    near = subprocess.run([*pip, TORCH], capture_output=True, check=False)
    if near.returncode:
        subprocess.run([*pip, "--extra-index-url", WHEELS, TORCH], check=True)
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def packages() -> str:
    """A folder with torch and scikit-learn for the Python of the rig's images: that of the tests, if it is the same
    Python and has them; else one beside the images, which is filled once."""
    if sys.version_info[:2] == (3, 11) and all(map(importlib.util.find_spec, ("torch", "sklearn"))):
        return sysconfig.get_path("purelib")
    folder = rig_docker.CACHE / f"packages-3.11-{TORCH}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=folder.parent)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--python-version", "3.11", "--only-binary", ":all:",
               "--target", made, TORCH, "scikit-learn>=1.3"]  # fmt: skip
        if subprocess.run(pip, capture_output=True, check=False).returncode:
            subprocess.run([*pip, "--extra-index-url", WHEELS], check=True)
        os.chmod(made, 0o755)
        with contextlib.suppress(OSError):  # another session was faster
            os.rename(made, folder)
        shutil.rmtree(made, ignore_errors=True)
    return str(folder)


@pytest.fixture
def project(
    repo: Path, git: Callable[..., str], site: Site, dockerd: rig_docker.Engine, python_image: str
) -> Iterator[Path]:
    """A project with a host, whose images go when the test is over."""
    (repo / "gittrack.yaml").write_text(
        f"hosts: {{gpu1: {{host: host, docker: {dockerd.command}}}}}\n"
        f"base_image: {python_image}\nbuild: {{network: host, ca: {CA}}}\n"
    )
    git("commit", "-q", "--amend", "--allow-empty", "-m", f"First commit of {repo}")  # a project of its own
    yield repo
    jobs = site.ann.home / ".gittrack/jobs"
    for job in jobs.iterdir() if jobs.exists() else ():
        dockerd.docker("rm", "-f", f"gittrack-{job.name}", code=None)
    label = f"label=gittrack.project={git('rev-list', '--max-parents=0', 'HEAD')}"
    for name in dockerd.docker("images", "-q", "--filter", label).split():
        dockerd.docker("rmi", "-f", name, code=None)


def rows(track: Callable[..., Any]) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = json.loads(track("ls", "--json").stdout)
    return found[::-1]


def started(project: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """A job that ends well; its image is made before, which may take longer than `track` waits."""
    command = ["git-track", "run", "-H", "gpu1", *argv]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_a_classifier_of_digits_is_trained_at_a_host_and_goes_on_there(
    project: Path, track: Callable[..., Any], git: Callable[..., str]
) -> None:
    (project / "requirements.txt").write_text("scikit-learn>=1.3\n")
    (project / "train.py").write_text(TRAIN)
    first = started(project, "python", "train.py")
    assert first.stdout.count("epoch") == 3 and "requirements.txt" in first.stderr
    (run,) = rows(track)
    assert run["status"] == "completed" and run["checkpoints"] == 3 and run["metrics"]["accuracy"]["last"] > 0.8
    track("checkout", "latest@best", "--artifacts", "-o", "best")
    kept = api.runs(repo=str(project))[0].best().files[0]
    assert (project / "best" / "weights.npz").read_bytes() == kept.read()
    packages = git("show", f"refs/track/runs/{run['id'][-2:]}/{run['id']}:environment/requirements.txt")
    assert "scikit-learn==" in packages

    # The image is there, and the training there reads the checkpoint that this machine has.
    second = track("run", "-H", "gpu1", "--resume", "latest", "python", "train.py")
    assert second.stdout.startswith("epoch 4 ") and "requirements.txt" not in second.stderr
    series = api.runs(repo=str(project))[0].metrics("accuracy", chain=True)
    assert series.index.tolist() == [*range(1, 7)] and series[4] > 0.8
    git("fsck", "--strict")


def test_a_network_is_trained_with_torch_at_a_host_goes_on_there_and_is_compared(
    project: Path, python_image: str, packages: str, track: Callable[..., Any], git: Callable[..., str]
) -> None:
    shutil.copytree(ROOT / "examples" / "digits", project, dirs_exist_ok=True)
    with open(project / "gittrack.yaml", "a") as file:
        file.write(f"image: {python_image}\nmounts: ['{packages}:/packages:ro']\nenv: [PYTHONPATH=/packages]\n")
    first = track("run", "-H", "gpu1", "--name", "first", "python3", "train.py", "--lr", "0.1", "--epochs", "3")
    assert [line[:8] for line in first.stdout.splitlines()] == ["epoch  1", "epoch  2", "epoch  3"]

    # The checkpoint that this machine has goes there, and the training goes on from it.
    again = track(
        "run",
        "-H",
        "gpu1",
        "--resume",
        "first",
        "--name",
        "second",
        "python3",
        "train.py",
        "--epochs",
        "6",
        "--lr",
        "0.1",
    )
    assert [line[:8] for line in again.stdout.splitlines()] == ["epoch  4", "epoch  5", "epoch  6"]
    found = rows(track)
    assert [(run["name"], run["status"], run["checkpoints"]) for run in found] == [
        ("first", "completed", 3),
        ("second", "completed", 3),
    ]
    assert (
        found[1]["continues"] == {"run": found[0]["id"], "step": 3} and found[1]["metrics"]["accuracy"]["last"] > 0.85
    )
    second = api.runs(repo=str(project))[0]
    series = second.metrics("loss", chain=True)
    assert series.index.tolist() == [*range(1, 7)] and series.is_monotonic_decreasing and series[6] < series[1] / 4
    if importlib.util.find_spec("torch"):
        assert second.best().load()["model"]["0.weight"].shape == (8, 1, 3, 3)
    table = track("compare", "first", "second").stdout
    assert all(word in table for word in ("first", "second", "epochs", "loss", "accuracy")), table
    git("fsck", "--strict")


def test_an_example_with_torch_is_trained_at_a_host_and_goes_on_there(
    project: Path, wheels: str, track: Callable[..., Any], git: Callable[..., str]
) -> None:
    shutil.copytree(ROOT / "examples" / "iris", project, dirs_exist_ok=True)
    (project / "requirements.txt").write_text(f"--find-links {wheels}\n{TORCH}\nscikit-learn>=1.3\n")
    first = started(project, "python", "train.py", "--epochs", "20")
    assert "epoch  20" in first.stdout and "requirements.txt" in first.stderr
    (run,) = rows(track)
    assert run["status"] == "completed" and run["checkpoints"] == 2
    assert run["params"]["epochs"] == 20 and run["metrics"]["accuracy"]["last"] > 0.5
    track("checkout", "latest@best", "--artifacts", "-o", "best-model")
    best = api.runs(repo=str(project))[0].best()
    assert (project / "best-model" / "checkpoint.pt").stat().st_size == best.files[0].size
    with contextlib.suppress(ImportError):
        __import__("torch")
        assert best.load()["model"]["0.weight"].shape == (16, 4)

    # The image is there, and the training there loads the checkpoint that this machine has.
    second = track("run", "-H", "gpu1", "--resume", "latest", "python", "train.py", "--epochs", "30")
    assert second.stdout.startswith("epoch  30") and "requirements.txt" not in second.stderr
    series = api.runs(repo=str(project))[0].metrics("val_loss", chain=True)
    assert series.index.tolist() == list(range(1, 31)) and series[21] < series[19]
    git("fsck", "--strict")


# Not a test that is skipped: those are taken for failures where everything is to be tested.
test_an_example_with_torch_is_trained_at_a_host_and_goes_on_there.__test__ = (  # type: ignore[attr-defined]
    "GITTRACK_TEST_TORCH" in os.environ
)
