"""`--input RUN:PATH`: a job is given a file of another run, and its record says of which."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, world

import gittrack

MAKES = """
import os, gittrack
run = gittrack.init()
os.makedirs("out", exist_ok=True)
for step in range(2):
    open("out/model.bin", "wb").write(bytes([step]) * 300_000)
    open("out/small.txt", "w").write(f"small {step}")
    run.checkpoint(step=step, path="out")
"""
USES = """
import sys
for name in sys.argv[1:]:
    data = open(name, "rb").read()
    print(name, len(data), data[-1])
"""


@pytest.fixture
def lab(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        (repo / ".gitignore").write_text("out/\n")
        (repo / "makes.py").write_text(MAKES)
        (repo / "uses.py").write_text(USES)
        made.track("run", "--name", "made", "python3", "makes.py")
        for path in (repo / "out").iterdir():
            path.unlink()
        yield made


def test_a_job_is_given_files_of_a_run_and_its_record_says_so(lab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = lab.rows()
    files = ["--input", "made:out/model.bin", "--input", "made@0:out/small.txt"]
    done = lab.track("run", "-H", "gpu1", *files, "python3", "uses.py", "out/model.bin", "out/small.txt")
    assert done.out == f"out/model.bin 300000 1\nout/small.txt 7 {ord('0')}\n"
    said = json.loads(lab.track("show", "--json").out)["environment"]["inputs.json"]
    assert [(one["path"], one["run"]) for one in said["files"]] == [
        ("out/model.bin", made["id"]),
        ("out/small.txt", f"{made['id']}@0"),
    ]
    cached = {path.name for path in lab.folder.glob("cache/files/*/*")}
    assert {one["sha256"] for one in said["files"]} <= cached
    monkeypatch.chdir(lab.repo)
    with gittrack.launch("python3 uses.py out/model.bin", host="gpu1", inputs=["made:out/model.bin"]) as job:
        assert "".join(job.logs(follow=True)) == "out/model.bin 300000 1\n" and job.wait() == "completed"
    lab.check_git()


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [("made", 2, "RUN:PATH"), ("made:out/none", 66, "no file"), ("nobody:out/model.bin", 66, "nobody")],
)
def test_a_file_that_is_none_is_refused_before_anything_is_sent(lab: World, text: str, code: int, says: str) -> None:
    said = lab.track("run", "-H", "gpu1", "--input", text, "true", code=code).err
    assert says in said and len(lab.rows()) == 1 and lab.jobs() == []


def test_nothing_is_written_through_a_link_of_the_work_tree(lab: World, tmp_path: Path) -> None:
    (lab.repo / ".gitignore").unlink()
    (lab.repo / "out").rmdir()
    outside = lab.marks / "outside"
    outside.mkdir()
    (lab.repo / "out").symlink_to(outside)
    before = lab.jobs()
    refused = lab.track("run", "-H", "gpu1", "--input", "made:out/small.txt", "true", code=2)
    assert "out/small.txt: a link of the work tree is in the way" in refused.err
    assert [*outside.iterdir()] == [] and lab.jobs() == before
