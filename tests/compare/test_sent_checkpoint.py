"""What `resume_checkpoint()` gives in a container, where the checkpoint's files stand in the job's folder."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.compare import sent
from gittrack.errors import CorruptContent, MissingContent, Refused, RunNotFound, UsageError, WouldOverwrite

RUN = "0123456789abcdef0123"
Make = Callable[..., sent.Checkpoint]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Make:
    """`checkpoint((path, mode, content)...)`: as a job has it."""

    def make(*files: tuple[str, str, bytes]) -> sent.Checkpoint:
        folder = tmp_path / "job"
        (folder / "checkpoint").mkdir(parents=True)
        listed = []
        for path, mode, data in files:
            sha256 = hashlib.sha256(data).hexdigest()
            (folder / "checkpoint" / sha256).write_bytes(data)
            listed.append({"path": path, "mode": mode, "size": len(data), "sha256": sha256})
        said = {"step": 3, "metrics": {"loss": float("nan")}, "t": 1.5, "w": 2.5, "files": listed}
        (folder / "job.json").write_text(json.dumps({"resume": {"as": f"{RUN}@3", "checkpoint": said}}))
        found = sent.find(str(folder), RUN, 3)
        assert found is not None
        return found

    return make


def test_it_has_what_a_checkpoint_has(checkpoint: Make, tmp_path: Path) -> None:
    found = checkpoint(("out/a", "100644", b"1"), ("out/b", "100755", b"2"), ("out/l", "120000", b"a"))
    assert (found.step, found.t, found.w, str(found.metrics)) == (3, 1.5, 2.5, "{'loss': nan}")
    assert found.open("out/a").read() == b"1" and found.files[1].read() == b"2"
    found.checkout(tmp_path / "there")
    found.checkout(tmp_path / "there")  # what is there already, as it should be, is not overwritten
    there = tmp_path / "there" / "out"
    assert sorted(os.listdir(there)) == ["a", "b", "l"] and os.readlink(there / "l") == "a"
    assert not os.access(there / "a", os.X_OK) and os.access(there / "b", os.X_OK)


def test_files_of_somebody_are_overwritten_only_by_force(checkpoint: Make, tmp_path: Path) -> None:
    found = checkpoint(("a", "100644", b"1"), ("b", "100644", b"2"))
    (tmp_path / "b").write_text("mine")
    with pytest.raises(WouldOverwrite):
        found.checkout(tmp_path)
    assert not (tmp_path / "a").exists()
    found.checkout(tmp_path, force=True)
    assert (tmp_path / "b").read_text() == "2"


@pytest.mark.parametrize(("path", "mode", "data"), [
    ("../out", "100644", b"x"), ("/tmp/out", "100644", b"x"), ("l", "120000", b"../out"), ("l", "120000", b"/etc"),
    ("through/out", "100644", b"x"),
])  # fmt: skip
def test_nothing_is_written_outside_and_the_rest_is(
    checkpoint: Make, tmp_path: Path, path: str, mode: str, data: bytes
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "through").symlink_to(tmp_path)
    found = checkpoint((path, mode, data), ("fine", "100644", b"fine"))
    with pytest.raises(Refused):
        found.checkout(root)
    assert (root / "fine").read_text() == "fine"
    assert sorted(os.listdir(tmp_path)) == ["job", "root"] and not os.path.lexists(root / "l")


def test_a_file_that_was_changed_or_removed_is_not_given(checkpoint: Make, tmp_path: Path) -> None:
    found = checkpoint(("a", "100644", b"1"))
    Path(found.files[0].source).write_text("2")
    with pytest.raises(CorruptContent):
        found.open()
    Path(found.files[0].source).unlink()
    with pytest.raises(MissingContent):
        found.open()


def test_what_is_asked_for_has_to_be_clear(checkpoint: Make, tmp_path: Path) -> None:
    found = checkpoint(("a", "100644", b"1"), ("b", "100644", b"2"))
    with pytest.raises(UsageError, match="2 files"):
        found.open()
    with pytest.raises(RunNotFound, match="no file 'c'"):
        found.open("c")
    with pytest.raises(RunNotFound, match="no checkpoint of run"):
        sent.find(str(tmp_path / "job"), RUN, None)
