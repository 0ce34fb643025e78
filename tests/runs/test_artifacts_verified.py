"""Whoever can write to a store can make a list of good chunks that are not those of the file: it is given to nobody."""

import hashlib
import os
import random
from pathlib import Path

import keeping
import pytest

from gittrack import errors
from gittrack.runs import artifacts, reader
from gittrack.store import chunklist
from gittrack.store.content import Content, list_key
from gittrack.store.memory import MemoryStore

SIZE = 9_000_000
GOOD, EVIL = random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)
DIGEST = hashlib.sha256(GOOD).hexdigest()


def read(source, one):
    return source.read(one)


def opened(source, one):
    with source.open(one) as file:
        file.seek(SIZE // 2)
        half = file.read()
        file.seek(0)
        return file.read(SIZE // 2) + half


def begun(source, one):
    with source.open(one) as file:
        return file.read(10)


def passed(source, one):
    return b"".join(source.pieces(one))


def copied(source, one):
    source.copy_to(one, "copy")
    return Path("copy").read_bytes()


WAYS = [read, opened, passed, copied]


@pytest.fixture
def get(store, tmp_path, monkeypatch):
    """`get(way, contents)`: what a way of reading gives of a file that the clone's own store should have."""
    monkeypatch.chdir(tmp_path)
    run = keeping.Run(store.paths)
    run.write(keeping.kept(1, "model.pt", GOOD, "store"), keeping.whole(1), file=keeping.STORER)
    record = reader.read(store, keeping.ID)
    (one,) = artifacts.artifacts(store, record)

    def call(way, contents=()):
        return way(artifacts.source(store, record, contents), one)

    call.own = run.store
    return call


def poisoned(content):
    """The store with the list of EVIL in the place of GOOD's."""
    evil = content.put_bytes(EVIL)
    content.store.put(list_key(DIGEST), chunklist.encode(content.chunks(evil.sha256, SIZE)))
    content.store.flush()
    return content


@pytest.mark.parametrize("in_memory", [0, 2 * SIZE])
@pytest.mark.parametrize("where", ["own", "far"])
@pytest.mark.parametrize("way", [*WAYS, begun])
def test_a_list_of_other_chunks_gives_no_bytes(get, monkeypatch, way, where, in_memory):
    monkeypatch.setattr(artifacts, "IN_MEMORY", in_memory)
    contents = [] if where == "own" else [Content(MemoryStore())]
    poisoned(get.own if where == "own" else contents[0])
    with pytest.raises(errors.CorruptContent, match=r"'model.pt' of run 0123456 .*other chunks"):
        get(way, contents)
    assert not os.path.exists("copy")


@pytest.mark.parametrize("in_memory", [0, 2 * SIZE])
@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_has_it_right_is_asked_next(get, monkeypatch, way, in_memory):
    monkeypatch.setattr(artifacts, "IN_MEMORY", in_memory)
    poisoned(get.own)
    whole = Content(MemoryStore())
    whole.put_bytes(GOOD)
    assert get(way, [whole]) == GOOD


def test_what_was_opened_from_afar_leaves_no_file(get, monkeypatch, tmp_path):
    monkeypatch.setattr(artifacts, "IN_MEMORY", 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    far = Content(MemoryStore())
    far.put_bytes(GOOD)
    before = sorted(os.listdir(tmp_path))
    assert get(opened, [far]) == GOOD
    assert sorted(os.listdir(tmp_path)) == before
