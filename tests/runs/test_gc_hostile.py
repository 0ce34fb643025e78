"""What somebody else writes into a record of his own cannot make a clean-up take the files of another run."""

import hashlib
import random
import time

import builder
import pytest
import stored

from gittrack.runs import announcing, gc, gc_shared, needs, usage
from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore

SIZES = (100_000, 9_000_000)  # one chunk, and several with a list


def noise(size):
    return random.Random(size).randbytes(size)


def kept(data, **said):
    digest = hashlib.sha256(data).hexdigest()
    line = {"e": "kept", "in": "store", "mode": "100644", "parcel": stored.parcel(2, 1), "path": "m", "sha256": digest,
            "size": len(data), "t": 1, "w": 1.0}  # fmt: skip
    return {**line, **said}


def has(store, data):
    return stored.content(store).has(hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wrong", [0, 1, 2**61])
def test_a_record_that_says_a_wrong_size_of_a_file_frees_nothing_of_others(store, size, wrong):
    data = noise(size)
    stored.run(store, 1, {1: {"m": data}})
    for number in range(2, 12):  # records are looked at in the order of their ids: some come after the true one
        builder.write_runs(store, [builder.journal(number, {}, [], more=[kept(data, size=wrong)])])
    done = gc.sweep(store, gc.plan(store, time.time() + 1, 0), time.time() + 1, 0)
    assert done.sweep == {} and has(store, data)
    assert usage.of(store).free == 0


@pytest.mark.parametrize("size", SIZES)
def test_nor_in_a_store_that_clones_share(store, tmp_path, size):
    data = noise(size)
    stored.run(store, 1, {1: {"m": data}})
    for number in range(2, 12):
        builder.write_runs(store, [builder.journal(number, {}, [], more=[kept(data, size=1)])])
    shared = DirectoryStore(str(tmp_path / "shared"))
    Content(shared).put_bytes(data)
    announcing.say_anew(store, shared)
    for later in (1, 20 * 86400.0, 40 * 86400.0):
        gc_shared.collect(store, shared, time.time() + later)
    assert Content(shared).read(hashlib.sha256(data).hexdigest(), size) == data


def test_lines_that_another_program_has_written_in_another_order_are_needs_too(store):
    data = noise(100_000)
    stored.content(store).put_bytes(data)
    line = kept(data)
    turned = {key: line[key] for key in reversed(line)}
    builder.write_runs(store, [builder.journal(1, {}, [], more=[turned])])
    assert [one.sha256 for one in needs.of_clone(store).files] == [line["sha256"]]
    gc.sweep(store, gc.plan(store, time.time() + 1, 0), time.time() + 1, 0)
    assert has(store, data)
