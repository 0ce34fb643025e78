"""The files of runs are found and read wherever they are, and nothing is given out that has another digest."""

import contextlib
import hashlib
import os

import builder
import keeping
import pytest

from gittrack import errors
from gittrack.runs import artifacts, choosing, embedded, folding, live, reader
from gittrack.store.content import Content
from gittrack.store.memory import MemoryStore

BIG = os.urandom(300_000)


@pytest.fixture
def run(store):
    return keeping.Run(store.paths)


def kept_so_far(store):
    return artifacts.artifacts(store, reader.read(store, keeping.ID))


def get(store, path, contents=(), how="read"):
    record = reader.read(store, keeping.ID)
    source = artifacts.source(store, record, contents)
    (one,) = [one for one in artifacts.artifacts(store, record) if one.path == path]
    if how == "open":
        with source.open(one) as file:
            return file.read()
    return source.read(one)


def fill(run):
    run.write(keeping.point(1), keeping.checkpoint(1, 1))
    run.keep(1, {"model.pt": BIG}, "store")
    run.write(keeping.checkpoint(2), keeping.artifact(2, "confusion.csv", "table", 2))
    run.keep(2, {"confusion.csv": b"a,b\n"})
    run.write(keeping.checkpoint(3, 3))
    run.keep(3, {"model.pt": BIG[:9], "sub/config.json": b"{}"})
    run.keep(4, {"nobody/named.it": b"x"})


def test_all_files_of_a_run_are_listed_live_and_committed_alike(store, run):
    fill(run)
    before = kept_so_far(store)
    assert [(one.path, one.kind, one.step, one.where, one.number) for one in before] == [
        ("model.pt", "checkpoint", 1, "store", -1),
        ("confusion.csv", "table", 2, "git", -1),
        ("model.pt", "checkpoint", 3, "git", -1),
        ("sub/config.json", "checkpoint", 3, "git", -1),
        ("nobody/named.it", "file", None, "git", -1),
    ]
    with contextlib.closing(folding.Folder.open(store, run.directory)) as folder:
        folder.advance(1000.5)
        half = kept_so_far(store)
        run.write(keeping.end())
        assert folder.finish(1100.0)
    after = kept_so_far(store)
    assert [one.number for one in after] == [0, 1, 2, 2, 3]
    assert [one.number for one in half] == [0, 1, 2, 2, -1]
    assert [one._replace(number=-1) for one in after] == [one._replace(number=-1) for one in half] == before


def test_the_files_of_a_checkpoint_are_found_by_its_step_best_or_latest(store, run):
    fill(run)
    folding.fold_dead(store, 2000.0)
    record = reader.read(store, keeping.ID)

    def paths(point):
        return [one.path for one in choosing.of_step(store, record, point)]

    assert (paths(1), paths(2), paths("best")) == (["model.pt"], ["confusion.csv"], ["model.pt", "sub/config.json"])
    assert [one.parcel for one in reader.checkpoints(store, record)] == [keeping.name(1), None, keeping.name(3)]
    with pytest.raises(errors.RunNotFound):
        paths(9)


@pytest.mark.parametrize("how", ["read", "open"])
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("backend", ["pygit2", "cli"])
def test_bytes_come_from_the_record_the_live_folder_and_the_store(repo, backend, committed, how):
    store = builder.opened(repo, backend)
    run = keeping.Run(store.paths)
    run.keep(1, {"small": b"few", "caf\udce9": b"odd", "empty": b"", "two\nlines": b"2"})
    run.keep(2, {"large": BIG}, "store")
    run.keep(3, {"link": b"small"}, mode="120000")
    if committed:
        folding.fold_dead(store, 2000.0)
        assert not os.path.exists(run.directory)
    for path, data in {
        "small": b"few",
        "caf\udce9": b"odd",
        "two\nlines": b"2",
        "empty": b"",
        "large": BIG,
        "link": b"small",
    }.items():
        assert get(store, path, how=how) == data
    store.close()


def test_a_small_file_that_is_committed_while_it_is_read_is_found(store, run):
    run.keep(1, {"small": b"few"})
    record = reader.read(store, keeping.ID)
    (one,) = artifacts.artifacts(store, record)
    source = artifacts.source(store, record)
    folding.fold_dead(store, 2000.0)
    assert source.read(one) == b"few"


def test_a_file_that_our_store_lacks_comes_from_git_lfs_or_another_store(store, run, repo, tmp_path):
    run.write(keeping.kept(2, "big.bin", BIG, "store"), keeping.whole(2), file=keeping.STORER)
    with pytest.raises(errors.MissingContent):
        get(store, "big.bin")
    other = Content(MemoryStore())
    other.put_bytes(BIG)
    for how in ("read", "open"):
        assert get(store, "big.bin", [Content(MemoryStore()), other], how) == BIG
    digest = hashlib.sha256(BIG).hexdigest()
    place = repo / ".git/lfs/objects" / digest[:2] / digest[2:4]
    place.mkdir(parents=True)
    (place / digest).write_bytes(BIG)
    assert get(store, "big.bin") == BIG
    (place / digest).write_bytes(BIG[:-1])
    with pytest.raises(errors.MissingContent):
        get(store, "big.bin")


def test_a_copy_has_the_file_s_bytes_and_its_executable_bit(store, run, tmp_path):
    run.keep(1, {"run.sh": b"#!/bin/sh\n"}, mode="100755")
    run.keep(2, {"large": BIG}, "store")
    record = reader.read(store, keeping.ID)
    source = artifacts.source(store, record)
    done = []
    for one in artifacts.artifacts(store, record):
        source.copy_to(one, str(tmp_path / one.path), done.append)
    assert (tmp_path / "run.sh").read_bytes() == b"#!/bin/sh\n" and os.access(tmp_path / "run.sh", os.X_OK)
    assert (tmp_path / "large").read_bytes() == BIG and not os.access(tmp_path / "large", os.X_OK)
    assert sum(done) == len(BIG) + 10


def test_what_is_missing_is_named_with_its_run_and_what_to_do(store, run):
    run.write(keeping.kept(1, "model.pt", b"gone", "store"), keeping.whole(1), file=keeping.STORER)
    with pytest.raises(errors.MissingContent) as raised:
        get(store, "model.pt")
    assert "'model.pt' of run 0123456" in raised.value.message
    assert "git track" in raised.value.hint


def test_a_remote_that_cannot_be_reached_is_an_error_that_names_the_file(store, run, git):
    run.write(keeping.kept(1, "model.pt", b"gone", "store"), keeping.whole(1), file=keeping.STORER)
    git("remote", "add", "origin", "/nowhere/at/all")
    shared = embedded.Shared(store, "origin", ("embedded",))
    with pytest.raises(errors.GittrackError) as raised:
        get(store, "model.pt", [shared])
    assert "'model.pt' of run 0123456" in raised.value.message and raised.value.hint
    other = Content(MemoryStore())
    other.put_bytes(b"gone")
    assert get(store, "model.pt", [shared, other]) == b"gone"


def test_a_copy_that_cannot_be_written_is_not_the_stores_fault(store, run, tmp_path):
    run.keep(1, {"model.pt": BIG}, "store")
    record = reader.read(store, keeping.ID)
    with pytest.raises(errors.CannotWrite):
        artifacts.source(store, record).copy_to(artifacts.artifacts(store, record)[0], str(tmp_path / "no/such/dir"))


def test_damaged_bytes_are_never_given_out(store, run, repo, tmp_path):
    run.keep(1, {"model.pt": BIG}, "store")
    run.keep(2, {"small": b"few"})
    for found in (repo / ".git/track/objects/chunks").rglob("*"):
        if found.is_file():
            found.chmod(0o644)
            found.write_bytes(os.urandom(found.stat().st_size))
    run.blob(b"few").write_bytes(b"fex")
    with pytest.raises(errors.CorruptContent) as raised:
        get(store, "model.pt")
    assert "'model.pt' of run 0123456" in raised.value.message
    with pytest.raises(errors.MissingContent):
        get(store, "small")
    record = reader.read(store, keeping.ID)
    with pytest.raises(errors.CorruptContent):
        artifacts.source(store, record).copy_to(artifacts.artifacts(store, record)[0], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    whole = Content(MemoryStore())
    whole.put_bytes(BIG)
    assert get(store, "model.pt", [whole]) == BIG


def test_lines_of_a_stranger_s_hand_are_passed_over(store, run):
    good = keeping.kept(1, "good", b"good")
    bad = [{**good, "path": path} for path in ("/etc/passwd", "../up", "a//b", "", "a/./b", "nul\0", 7, "x" * 300)]
    bad += [{**good, "sha256": "zz"}, {**good, "size": -1}, {**good, "size": True}, {**good, "mode": "160000"}]
    run.write(*bad, good, keeping.whole(1), {"e": "kept"}, {"e": "parcel", "parcel": []}, file=keeping.STORER)
    run.keep_bytes(b"good")
    assert [one.path for one in kept_so_far(store)] == ["good"]
    assert live.state(run.directory, live.here()) == live.DEAD
    assert folding.fold_dead(store, 2000.0).folded == [keeping.ID]
    assert [one.path for one in kept_so_far(store)] == ["good"]
