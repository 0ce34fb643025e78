"""A job of which nothing was recorded leaves nothing, whoever finds that out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rig_docker
from rig_docker import Engine
from rig_ssh import Site

from gittrack import errors
from gittrack.launch.api import launch


@pytest.fixture
def project(repo: Path, site: Site, dockerd: Engine, bare_image: str) -> Iterator[Path]:
    (repo / "gittrack.yaml").write_text(
        f"hosts:\n  gpu1:\n    host: host\n    docker: {dockerd.command}\n    image: {bare_image}\n"
    )
    yield repo
    rig_docker.remove_jobs(dockerd, site.ann.home)


def left(site: Site) -> list[Path]:
    return [*(site.ann.home / ".gittrack/jobs").iterdir()]


@pytest.mark.parametrize("words", [("wait", "latest"), ("logs", "-f"), ("attach",), ("run",)])
def test_a_command_that_finds_that_nothing_began_forgets_it(
    project: Path, site: Site, track: Callable[..., Any], words: tuple[str, ...]
) -> None:
    sent = ("run", "-H", "gpu1", "-d", "python3", "train.py")
    if words == ("run",):
        said = track(*(word for word in sent if word != "-d"), code=87)
    else:
        track(*sent)
        said = track(*words, code=87)
    assert "no Python that can be used" in said.stderr
    assert track("ls", "--json").stdout.strip() == "[]"
    assert left(site) == []


def test_so_does_python(project: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    for ask in (lambda job: job.wait(), lambda job: job.status):
        with launch("python3 train.py", host="gpu1") as job:
            with pytest.raises(errors.ImageFailed, match="no Python that can be used"):
                while ask(job) == "running":
                    pass
            assert left(site) == []
            with pytest.raises(errors.RunNotFound):
                ask(job)
