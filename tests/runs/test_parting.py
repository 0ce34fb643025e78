"""Two clones that write under one id, and how they part."""

import shutil
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import annotations, doctor, logs, operations, parting, undo, writer
from gittrack.runs.annotations import Author, Saying
from gittrack.runs.findings import Patient

RUN = builder.run_id(0)
ANN = Author("Ann <ann@example.org>", builder.T0, "git track …")


def said(repo: Repository) -> list[str]:
    return sorted(op.value for op in logs.operations(repo) if op.op == "note")


def tip(repo: Repository, who: str) -> str:
    return logs.tips(repo)[who]


def other_disk(store: Repository, tmp_path: Path) -> Repository:
    """The clone, copied with all that tells it from its copy."""
    copy = tmp_path / "copy"
    shutil.copytree(store.paths.worktree or store.paths.git_dir, copy)
    twin = builder.opened(copy)
    writer.renew(twin.paths, writer.writer_id(store.paths))
    return twin


@pytest.fixture
def twin(store: Repository, tmp_path: Path) -> Repository:
    builder.make_runs(store, 1)
    annotations.say(store, [Saying(RUN, "note", "before")], ANN)
    return other_disk(store, tmp_path)


def test_two_clones_of_one_id_part_and_nothing_is_lost(store: Repository, twin: Repository) -> None:
    old = writer.writer_id(store.paths)
    annotations.say(twin, [Saying(RUN, "note", "in the copy")], ANN)
    annotations.say(store, [Saying(RUN, "note", "in the original")], ANN)
    theirs = tip(twin, old)
    store.git.run("fetch", "-q", "--no-write-fetch-head", twin.paths.common_dir, layout.log_ref(old))
    new = parting.part(store, theirs, ANN)
    assert new != old
    assert writer.writer_id(store.paths) == new
    assert tip(store, old) == theirs
    assert said(store) == ["before", "in the copy", "in the original"]
    annotations.say(store, [Saying(RUN, "note", "later")], ANN)
    assert said(store) == ["before", "in the copy", "in the original", "later"]
    assert store.git.run("fsck", "--strict", "--no-dangling") == b""
    texts = [one.text for one in doctor.examine(Patient(store, {}))]
    assert any(f"another clone writes annotations as {old}" in text for text in texts)


def test_a_restored_backup_takes_what_it_has_forgotten_and_goes_on_under_a_new_id(
    store: Repository, twin: Repository
) -> None:
    old = writer.writer_id(store.paths)
    annotations.say(twin, [Saying(RUN, "note", "after the backup")], ANN)
    store.git.run("fetch", "-q", "--no-write-fetch-head", twin.paths.common_dir, layout.log_ref(old))
    new = parting.part(store, tip(twin, old), ANN)
    assert list(logs.tips(store)) == [old], "nothing was only here: there is no log of the new id yet"
    annotations.say(store, [Saying(RUN, "note", "now")], ANN)
    assert sorted(logs.tips(store)) == sorted([old, new])
    assert said(store) == ["after the backup", "before", "now"]


def test_an_undo_of_the_parting_takes_back_nothing_that_was_said(store: Repository, twin: Repository) -> None:
    old = writer.writer_id(store.paths)
    annotations.say(twin, [Saying(RUN, "note", "in the copy")], ANN)
    annotations.say(store, [Saying(RUN, "note", "in the original")], ANN)
    store.git.run("fetch", "-q", "--no-write-fetch-head", twin.paths.common_dir, layout.log_ref(old))
    parting.part(store, tip(twin, old), ANN)
    with pytest.raises(errors.RunNotFound, match="nothing that can be taken back"):
        undo.undo(store, ANN, operations.log(store)[-1].id)
    assert said(store) == ["before", "in the copy", "in the original"]


def test_what_a_clone_left_is_not_left_by_its_copies(store: Repository, tmp_path: Path) -> None:
    old = writer.writer_id(store.paths)
    new = writer.renew(store.paths)
    copy = tmp_path / "copy"
    shutil.copytree(store.paths.worktree or store.paths.git_dir, copy)
    twin = builder.opened(copy)
    assert (writer.known(twin.paths), writer.left(twin.paths)) == (None, [])
    assert writer.writer_id(twin.paths) not in (old, new)
    assert writer.left(twin.paths) == []
    assert (writer.known(store.paths), writer.left(store.paths)) == (new, [old])
