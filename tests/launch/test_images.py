"""Images that are really built: from a lock file, from a Dockerfile, from a run; and what a failure says."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rig_docker

from gittrack.config import settings as configuring
from gittrack.errors import ImageFailed
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.launch.engine import images
from gittrack.launch.images import job_image
from gittrack.launch.images.job_image import Source
from gittrack.launch.link.hosts import HERE
from gittrack.launch.link.protocol import Link
from gittrack.launch.reached import At, Talk

AUTHORITY = "/etc/ssl/certs/ca-certificates.crt"
# Nothing can be pulled, and a container reaches a package index only over the network of the machine.
BASE = f"base_image: {rig_docker.PYTHON}\n"
OFFLINE = BASE + f"build: {{network: host, ca: {AUTHORITY}}}\n"


@pytest.fixture
def at(here: Link, dockerd: rig_docker.Engine, python_image: str) -> Iterator[At]:
    reached = At(HERE._replace(docker=dockerd.command), here, os.environ)
    yield reached
    reached.close()


@pytest.fixture
def commit(repo: Path, git: Callable[..., str]) -> Callable[..., Source]:
    """`commit(**{"path": "text"})`: the code of a new commit with these files."""

    def make(files: dict[str, str]) -> Source:
        for path, text in files.items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(text)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "More")
        bound = Git(discover(str(repo), os.environ), os.environ)
        project = f"{os.getpid():012x}" + os.urandom(14).hex()
        return Source(bound, git("rev-parse", "HEAD"), project, os.environ)

    return make


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Images of a test go when it is over."""
    yield
    if "dockerd" in request.fixturenames:
        dockerd: rig_docker.Engine = request.getfixturevalue("dockerd")
        names = dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"gittrack/{os.getpid():012x}").split()
        if names:
            dockerd.docker("rmi", "-f", *names, code=None)


def found(at: At, source: Source, yaml: str = OFFLINE, said: list[str] | None = None, **more: bool) -> str:
    """The name of the image of a project."""
    work = Path(source.git.paths.worktree or "")
    (work / "gittrack.yaml").write_text(yaml)
    settings = configuring.load(source.git.paths, {}, {})
    talk = Talk(say=(said if said is not None else []).append)
    return job_image.find(at, source, settings, settings.image, talk, **more).names[0]


def inside(dockerd: rig_docker.Engine, image: str, *argv: str) -> str:
    return dockerd.docker("run", "--rm", "--user", "1234:1234", image, *argv)


def test_packages_of_a_requirements_file_are_installed_once_and_code_changes_build_nothing(
    at: At, dockerd: rig_docker.Engine, commit: Callable[..., Source]
) -> None:
    said: list[str] = []
    source = commit({"requirements.txt": "-r more/base.txt\n-e .\n", "more/base.txt": "iniconfig==2.0.0\n"})
    name = found(at, source, said=said)
    assert name.startswith(f"gittrack/{source.project[:12]}:")
    version = "import iniconfig, importlib.metadata as m; print(m.version('iniconfig'))"
    assert inside(dockerd, name, "python3", "-c", version) == "2.0.0"
    assert rig_docker.PYTHON in said[0] and "requirements.txt" in said[0] and "-e ." in said[1]
    again: list[str] = []
    changed = commit({"train.py": "print(2)\n"})._replace(project=source.project)
    assert found(at, changed, said=again) == name and again == []
    assert inside(dockerd, name, "sh", "-c", "ls /work 2>/dev/null; true") == ""
    newer = commit({"more/base.txt": "iniconfig==2.1.0\n"})._replace(project=source.project)
    assert found(at, newer) != name
    ours = [each for each in images.stored(at.engine) if name in each.names]
    assert len(ours) == 1 and ours[0].labels["gittrack.project"] == source.project and not ours[0].used


def test_a_lock_of_uv_is_installed_as_it_stands(
    at: At, dockerd: rig_docker.Engine, repo: Path, commit: Callable[..., Source]
) -> None:
    project = (
        '[project]\nname = "demo"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = ["iniconfig==2.0.0"]\n'
    )
    (repo / "pyproject.toml").write_text(project)
    subprocess.run(["uv", "lock", "-q"], cwd=repo, check=True)
    name = found(at, commit({"requirements.txt": "nothing-of-this-name==0\n"}))
    listed = inside(dockerd, name, "python3", "-c", "import iniconfig, importlib.util as u; print(u.find_spec('demo'))")
    assert listed == "None"


def test_what_is_installed_here_is_installed_there(
    at: At, dockerd: rig_docker.Engine, commit: Callable[..., Source], tmp_path: Path
) -> None:
    subprocess.run(["python3", "-m", "venv", str(tmp_path / "venv")], check=True)
    subprocess.run([tmp_path / "venv/bin/pip", "install", "-q", "iniconfig==2.0.0"], check=True)
    environ = {**os.environ, "PATH": f"{tmp_path}/venv/bin:{os.environ['PATH']}"}
    name = found(at, commit({"train.py": ""})._replace(environ=environ))
    assert inside(dockerd, name, "python3", "-c", "import iniconfig; print('it is')") == "it is"


def test_a_step_that_fails_is_named_with_what_it_printed(at: At, commit: Callable[..., Source]) -> None:
    with pytest.raises(ImageFailed) as caught:
        found(
            at,
            commit({"requirements.txt": ""}),
            OFFLINE + "install: ['echo going >&2; echo wrong >&2; exit 3']\npython: 3.11\n",
        )
    assert "failed at step" in caught.value.message and "RUN echo going" in caught.value.message
    assert "\n  going\n  wrong" in caught.value.message
    assert caught.value.hint


def test_a_dockerfile_that_is_none_or_builds_on_nothing_is_told(at: At, commit: Callable[..., Source]) -> None:
    source = commit({"Dockerfile": f"FROM {rig_docker.PYTHON}\nRUN <<EOF\necho hi\nEOF\n"})
    with pytest.raises(ImageFailed, match="not understood: line 3: unknown instruction") as caught:
        found(at, source, "build: Dockerfile\n")
    assert "BuildKit" in str(caught.value.hint)
    with pytest.raises(ImageFailed, match=r"no\.such\.host\.example/x:1"):
        found(at, commit({"Dockerfile": "FROM no.such.host.example/x:1\n"}), "build: Dockerfile\n")


def test_a_project_has_a_dockerfile_of_its_own_whose_context_is_the_snapshot(
    at: At, dockerd: rig_docker.Engine, repo: Path, commit: Callable[..., Source]
) -> None:
    text = (
        f"FROM {rig_docker.PYTHON} AS first\nARG GREETING\nCOPY . /context\n"
        "RUN echo $GREETING > /greeting && chmod 644 /greeting\n"
        "FROM first AS second\nRUN false\n"
    )
    files = {
        "docker/Dockerfile": text,
        "docker/a b/$x.txt": "x",
        "docker/no.log": "y",
        "docker/.dockerignore": "*.log\n",
    }
    source = commit(files)
    (repo / "docker" / "untracked.txt").write_text("not in the snapshot")
    yaml = "build: {dockerfile: docker/Dockerfile, context: docker, target: first, args: {GREETING: hello}}\n"
    name = found(at, source, yaml)
    assert inside(dockerd, name, "cat", "/greeting") == "hello"
    listed = inside(dockerd, name, "find", "/context", "-type", "f").splitlines()
    assert "/context/a b/$x.txt" in listed
    assert not [path for path in listed if path.endswith(("no.log", "untracked.txt"))]
    (repo / "docker" / "untracked.txt").unlink()
    outside = commit({"train.py": "print(3)\n"})._replace(project=source.project)
    assert found(at, outside, yaml) == name
    assert found(at, commit({"docker/new": ""})._replace(project=source.project), yaml) != name
    with pytest.raises(ImageFailed, match="step"):
        found(at, source, yaml.replace("first", "second"))
    with pytest.raises(ImageFailed, match="there is no Dockerfile"):
        found(at, source, "build: Dockerfile\n")


def test_the_environment_of_this_machine_is_what_an_image_gets_where_nothing_is_locked(
    at: At, commit: Callable[..., Source], tmp_path: Path
) -> None:
    """The interpreter on PATH says what is installed; nothing is built here, as it would take minutes."""
    subprocess.run(["python3", "-m", "venv", str(tmp_path / "venv")], check=True)
    packages = next((tmp_path / "venv" / "lib").glob("python3*")) / "site-packages"
    (packages / "mypackage-1.5.dist-info").mkdir()
    environ = {**os.environ, "PATH": f"{tmp_path}/venv/bin:{os.environ['PATH']}"}
    source = commit({"environment.yml": "dependencies: [numpy]\n"})._replace(environ=environ)
    recipe = job_image.recipe(at, source, job_image.Wish())
    assert recipe.warnings[0].startswith("environment.yml is not read")
    assert b"mypackage==1.5\n" in recipe.files["packages/requirements.txt"]
    assert "as installed here" in recipe.said[0]
    version = subprocess.run(
        ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert recipe.base == f"python:{version}-slim"


def test_an_image_that_cannot_be_had_is_said_and_one_for_other_processors_too(
    at: At, dockerd: rig_docker.Engine, commit: Callable[..., Source], tmp_path: Path
) -> None:
    source = commit({})
    with pytest.raises(ImageFailed) as caught:
        found(at, source, "image: no.such.host.example/x:1\n")
    assert "no.such.host.example/x:1" in caught.value.message
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    name = f"gittrack/{os.getpid():012x}:arm"
    dockerd.docker("build", "-q", "--platform", "linux/arm64", "-t", name, str(tmp_path))
    with pytest.raises(ImageFailed, match="made for arm64"):
        found(at, source, f"image: {name}\n")


def test_images_are_removed_unless_a_container_has_them(
    at: At, dockerd: rig_docker.Engine, commit: Callable[..., Source]
) -> None:
    source = commit({"Dockerfile": f"FROM {rig_docker.SLIM}\nRUN true\n"})
    rig_docker.ensure(dockerd, rig_docker.SLIM)
    name = found(at, source, "build: Dockerfile\n")
    container = dockerd.docker("create", name, "true")
    kept = next(each for each in images.stored(at.engine) if name in each.names)
    assert kept.used and not images.remove(at.engine, kept)
    dockerd.docker("rm", container)
    assert images.remove(at.engine, kept) and at.engine.image(name) is None
    assert images.remove(at.engine, kept)
