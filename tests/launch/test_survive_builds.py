"""Images that fail, or are cut off, while they are made for a job."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import CONSOLE, World, until, world


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        with (repo / "gittrack.yaml").open("a") as file:
            file.write(
                f"  builds:\n    host: host\n    docker: {dockerd.command}\n    mounts: [{made.marks}:/marks]\n"
                "build: Dockerfile\n"
            )
        made.go()
        yield made


def test_a_build_that_fails_leaves_no_run_and_one_that_is_cut_off_goes_on(survived: World, python_image: str) -> None:
    recipe = survived.repo / "Dockerfile"
    recipe.write_text(f"FROM {python_image}\nRUN echo broken on purpose; false\n")
    said = survived.track("run", "-H", "builds", "python3", "train.py", code=87)
    assert "broken on purpose" in said.err
    assert survived.rows() == [] and survived.jobs() == [] and survived.starts() == []

    recipe.write_text(f"FROM {python_image}\nRUN echo {survived.marks.name} && sleep 2\n")
    process = survived.begin("run", "-H", "builds", "--reconnect", "0", "python3", "train.py")
    until(lambda: "sleep 2" in survived.engine.docker("ps", "--no-trunc"))
    survived.site.sshd.cut()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 88 and "git track attach" in err, err
    (run_id,) = survived.jobs()
    assert survived.track("attach", run_id).out == CONSOLE
    assert len(survived.starts()) == 1
    survived.check_whole(run_id)
    (ref,) = survived.refs()
    text = subprocess.check_output(["git", "show", f"{ref}:run.json"], cwd=survived.repo)
    survived.engine.docker("rmi", "-f", json.loads(text)["launched"]["digest"])
