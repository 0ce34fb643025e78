"""What checkouts have replaced takes room, and `du` and `gc` know of it."""

import json
import os
import time

import pytest
import stored

from gittrack.runs import placing

MINE = b"m" * 50_000


@pytest.fixture
def replaced(store, call, repo):
    """A file of the user's was overwritten by a checkout; gives its path."""
    stored.run(store, 1, {1: {"model.pt": b"t" * 70_000}})
    (repo / "model.pt").write_bytes(MINE)
    call("checkout", "latest", "--artifacts", "--force")
    assert (repo / "model.pt").read_bytes() != MINE
    return repo / "model.pt"


def kept(store):
    root = placing.kept_folder(store.paths, "")
    return os.listdir(root) if os.path.isdir(root) else []


def test_du_counts_it(replaced, call):
    assert json.loads(call("du", "--json"))["replaced"] == 50_000
    assert "50.0 kB  replaced by checkouts: `git track undo` brings it back" in call("du")


def test_gc_leaves_it_to_undo_for_90_days(replaced, call, store):
    call("gc", "--grace", "0")
    call("undo")
    assert replaced.read_bytes() == MINE
    for name in kept(store):
        then = time.time() - 91 * 86400
        os.utime(placing.kept_folder(store.paths, name), (then, then))
    assert "replaced by checkouts" in call("gc", "--dry-run")
    assert kept(store)
    call("gc")
    assert not kept(store)


def test_gc_removes_it_sooner_when_it_is_told_to(replaced, call, store):
    assert json.loads(call("gc", "--replaced", "--json"))["replaced"] == 0, "the grace period"
    assert json.loads(call("gc", "--replaced", "--grace", "0", "--dry-run", "--json"))["replaced"] == 50_000
    assert "removed 50.0 kB" in call("gc", "--replaced", "--grace", "0")
    assert not kept(store)
    call("undo", code=66)


def test_a_checkout_that_is_at_work_keeps_what_it_has_replaced(store, repo):
    (repo / "model.pt").write_bytes(MINE)
    with placing.replacing(store.paths, str(repo), "git track checkout", "Ann") as target:
        made = os.path.join(target.staging, "made")
        with open(made, "wb") as file:
            file.write(b"new")
        target.put(made, "model.pt", replace=True)
        assert placing.forget(store.paths, time.time() + 10) == 0
        assert len(kept(store)) == 1
    assert placing.forget(store.paths, time.time() + 10) == 50_000
    assert not kept(store)
