"""Files of runs that are missing or damaged are found."""

import os
import subprocess

import builder
import keeping
import pytest

from gittrack.core import codec, layout
from gittrack.git import objects
from gittrack.git.repository import RefChange
from gittrack.git.trees import TreeEditor
from gittrack.runs import artifacts, doctor, folding
from gittrack.runs.annotations import Author, Saying, say
from gittrack.runs.findings import ERROR, OK, WARNING, Patient

REF = layout.run_ref(keeping.ID)
BIG = os.urandom(100_000)


def troubles(store):
    return [one for one in doctor.examine(Patient(store, os.environ)) if one.level in (WARNING, ERROR)]


@pytest.fixture
def run(store):
    found = keeping.Run(store.paths)
    found.write(keeping.checkpoint(1, 1), keeping.artifact(2), keeping.end())
    found.keep(1, {"model.pt": BIG, "twin.pt": BIG}, "store")
    found.keep(2, {"a/config.json": b"{}", "caf\udce9": b"x"})
    folding.fold_dead(store, 2000.0)
    return found


def change(store, path, data):
    """The record with other bytes at `path`."""
    old = store.refs()[REF]
    tree = artifacts.tree_of(store, old)
    made = [objects.blob(data)]
    tree.put(path, made[0].oid)
    top = tree.write(lambda new, _: made.append(new))
    made.append(objects.commit(top, [old], "Ann <ann@example.org>", 2000, "changed"))
    store.write(made)
    store.update_refs([RefChange(REF, old, made[-1].oid)])
    assert isinstance(tree, TreeEditor)


def test_whole_files_are_no_trouble_and_are_counted(store, run):
    assert troubles(store) == []
    texts = [one.text for one in doctor.examine(Patient(store, os.environ)) if one.level == OK]
    assert "looked at 2 files in git and at 2 in the store" in texts


def test_another_content_of_a_small_file_is_found(store, run):
    change(store, "files/000/00/01/a/config.json", b"[]")
    (finding,) = troubles(store)
    assert finding.level == ERROR and "a/config.json of run 0123456" in finding.text


def test_a_small_file_that_is_not_in_the_record_is_found(store, repo):
    run = keeping.Run(store.paths)
    run.keep(1, {"lost": b"lost"})
    run.blob(b"lost").unlink()
    folding.fold_dead(store, 2000.0)
    (finding,) = troubles(store)
    assert finding.level == ERROR and "lost of run 0123456: not in the record" in finding.text


def test_damaged_lines_and_wrong_counts_are_found(store, run):
    whole = store.read_path(store.refs()[REF], "artifacts/000/00.jsonl")
    change(store, "artifacts/000/00.jsonl", whole.replace(b'"mode":"100644"', b'"mode":"160000"', 1))
    (finding,) = troubles(store)
    assert finding.level == ERROR and "1 lines about files of run 0123456" in finding.text
    change(store, "artifacts/000/00.jsonl", b"".join(whole.splitlines(True)[:-2]))
    assert "its summary says 4" in troubles(store)[0].text


def test_large_files_that_are_not_here_are_pulled_or_lost(store, run, git):
    chunks = os.path.join(store.paths.common_dir, "track/objects/chunks")
    os.rename(chunks, chunks + ".away")
    (finding,) = troubles(store)
    assert finding.level == ERROR and "model.pt, twin.pt of run 0123456: not in this clone, and" in finding.text
    git("remote", "add", "origin", "/nowhere")
    (finding,) = troubles(store)
    assert (finding.level, finding.command) == (WARNING, "git track store pull")
    git("remote", "remove", "origin")
    git("config", "track.store", "s3://bucket/prefix")
    assert [one.level for one in troubles(store)] == [WARNING]


def test_a_path_that_many_checkpoints_have_is_named_once(store):
    run = keeping.Run(store.paths)
    for number in range(1, 6):
        run.keep(number, {"model.pt": b"%d" % number + BIG, "sub/vocabulary.bin": BIG}, "store")
    folding.fold_dead(store, 2000.0)
    os.rename(os.path.join(store.paths.common_dir, "track/objects"), os.path.join(store.paths.common_dir, "away"))
    (finding,) = troubles(store)
    assert "model.pt (5 times), sub/vocabulary.bin (5 times) of run" in finding.text


def test_files_that_were_given_up_are_not_missed(store, run):
    subprocess.run(["rm", "-r", os.path.join(store.paths.common_dir, "track/objects")], check=True)
    assert len(troubles(store)) == 1
    say(store, [Saying(keeping.ID, "pruned", [keeping.name(1)])], Author("Ann <ann@example.org>", 1.0, "test"))
    assert troubles(store) == []


def test_a_record_without_files_costs_nothing(store):
    builder.make_runs(store, 3)
    assert troubles(store) == []
    assert "artifacts" not in codec.loads(store.read_path(next(iter(store.refs(layout.RUNS).values())), "summary.json"))
