"""A job is watched from a clone that has not sent it and does not know it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import CONSOLE, World, until, world


@pytest.fixture
def sent(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        yield made


def test_a_teammate_watches_a_job_to_its_end_by_naming_host_and_run(sent: World) -> None:
    sent.track("run", "-H", "gpu1", "-d", "python3", "train.py")
    run_id = sent.rows()[0]["id"]
    there, home = sent.folder / "jobs" / run_id / "job.json", sent.repo / ".git/track/live" / run_id / "job.json"
    tickets = [json.loads(path.read_text())["ticket"] for path in (there, home)]
    assert len(tickets[0]) == 32 and tickets[0] == tickets[1], "by which this clone knows that it is this host"
    other = sent.repo.parent / "teammate"
    subprocess.run(["git", "clone", "-q", str(sent.repo), str(other)], check=True)
    watching = sent.begin("attach", "-H", "gpu1", run_id, cwd=other)
    assert watching.stdout is not None and watching.stdout.readline() == "step 0\n"
    assert sent.rows(other)[0]["status"] == "running"
    sent.go()
    until(lambda: sent.has_ended(run_id))
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0 and out.endswith("step 11\n"), err
    assert sent.rows(other)[0]["status"] == "completed"
    assert sent.track("attach", "-H", "gpu1", run_id, cwd=other).out == CONSOLE  # it is here by now
    sent.track("attach", run_id)
    assert sent.refs() == sent.refs(other)

    nothing = sent.track("attach", "-H", "gpu1", "0" * 19 + "1", cwd=other, code=None)
    assert nothing.code != 0 and "there is no job of run 0000000" in nothing.err and "host ls gpu1" in nothing.err
