"""What a job was given besides its code stands in its record, and is what it was when the run began."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import World, world


@pytest.fixture
def given(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        (repo / "data").mkdir()
        (repo / "data/a.bin").write_bytes(os.urandom(5_000_000))
        (repo / "data/b.txt").write_text("b")
        (repo / "data/b.txt").chmod(0o755)
        (repo / "data" / os.fsdecode(b"c\xff")).touch()
        (repo / "data/link").symlink_to("a.bin")
        (repo / ".gitignore").write_text("data/\nsmall.txt\nmodel.bin\n")
        (repo / "gittrack.yaml").write_text("inputs: [data/]\n" + (repo / "gittrack.yaml").read_text())
        made.go()
        yield made


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_inputs_that_changed_before_they_were_sent_are_refused_and_the_record_says_what_was_given(given: World) -> None:
    large = (given.repo / "data/a.bin").read_bytes()
    given.line.break_after(2_000_000)
    given.track("run", "-H", "gpu1", "--reconnect", "0", "python3", "train.py", code=88)
    given.line.mend()
    (run,) = given.rows()
    (given.repo / "data/a.bin").write_bytes(b"other")
    (given.repo / "data/new").touch()
    said = given.track("attach", code=2).err
    assert "have changed since run" in said and "'data/a.bin', 'data/new'" in said and "stop" in said, said
    assert given.starts() == []
    (given.repo / "data/a.bin").write_bytes(large)
    (given.repo / "data/new").unlink()
    given.track("attach")
    given.check_whole(run["id"])
    ref = f"refs/track/runs/{run['id'][-2:]}/{run['id']}"
    shown = subprocess.check_output(["git", "show", f"{ref}:environment/inputs.json"], cwd=given.repo)
    found = json.loads(shown)
    files = [
        {"path": "data/a.bin", "mode": "100644", "size": 5_000_000, "sha256": digest(large)},
        {"path": "data/b.txt", "mode": "100755", "size": 1, "sha256": digest(b"b")},
        {"path": "data/c\\xff", "mode": "100644", "size": 0, "sha256": digest(b"")},
        {"path": "data/link", "mode": "120000", "target": "a.bin"},
    ]
    assert found["files"] == files
    assert (found["count"], found["size"]) == (4, 5_000_001)
    listing = b"".join(
        f"{one['mode']} {one.get('sha256') or one['target']} {one['path']}\0".encode().replace(b"\\xff", b"\xff")
        for one in files
    )
    assert found["sha256"] == digest(listing)
    assert "4 files, 5.0 MB" in given.track("show", run["id"]).out
