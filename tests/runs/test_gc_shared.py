"""A store that several clones share: what any of them needs stays, pushed or not, whoever cleans up when."""

import contextlib
import os
import subprocess
import threading
import time

import builder
import pytest
import stored
from common import noise

from gittrack import errors
from gittrack.config import settings
from gittrack.runs import announcing, gc_shared, pruning, reader, stores
from gittrack.runs.annotations import Author
from gittrack.store import leases
from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore

DAY = 86400.0
NOW = time.time()


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "shared").mkdir()
    return DirectoryStore(str(tmp_path / "shared"))


@pytest.fixture
def other(store, tmp_path):
    """Another clone of the same repository."""
    subprocess.run(["git", "clone", "-q", store.paths.worktree, str(tmp_path / "other")], check=True)
    with contextlib.closing(builder.opened(tmp_path / "other")) as opened:
        yield opened


def push(repo, shared):
    chosen = settings.load(repo.paths, {"GITTRACK_STORE": shared.url}, {})
    done = stores.upload(repo, chosen, stores.needed(repo))
    assert not next(iter(done.values())).missing


def has(shared, data):
    import hashlib

    return Content(shared).has(hashlib.sha256(data).hexdigest(), len(data))


def let_go(repo, run_id):
    author = Author("Ann <ann@example.org>", NOW, "test")
    pruning.prune(repo, {run_id: pruning.all_of(repo, reader.read(repo, run_id))}, author)


def twice(repo, shared):
    """Both phases, two weeks apart."""
    first = gc_shared.collect(repo, shared, time.time() + 1)
    second = gc_shared.collect(repo, shared, time.time() + 15 * DAY)
    return first, second


def test_what_was_let_go_is_condemned_first_and_swept_two_weeks_later(store, shared):
    run_id = stored.run(store, 1, {1: {"m": noise(1)}, 2: {"m": noise(2, 6_000_000)}})
    push(store, shared)
    stored.run(store, 2, {1: {"m": noise(1)}})
    let_go(store, run_id)
    first = gc_shared.collect(store, shared, time.time() + 1)
    assert first.sweep == {} and sum(first.condemn.values()) > 6_000_000
    assert has(shared, noise(2, 6_000_000))
    again = gc_shared.collect(store, shared, time.time() + 13 * DAY)
    assert again.sweep == {} and again.condemn == {} and again.waiting > 6_000_000
    last = gc_shared.collect(store, shared, time.time() + 15 * DAY)
    assert sum(last.sweep.values()) > 6_000_000
    assert not has(shared, noise(2, 6_000_000)) and has(shared, noise(1))
    assert {entry.key.split("/")[0] for entry in shared.list("")} == {"chunks", "gittrack.json", "needs"}


def test_what_is_needed_again_meanwhile_is_not_swept(store, shared):
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    push(store, shared)
    let_go(store, run_id)
    gc_shared.collect(store, shared, time.time() + 1)
    stored.run(store, 2, {1: {"m": noise(1)}})
    push(store, shared)
    assert gc_shared.collect(store, shared, time.time() + 15 * DAY).sweep == {}
    assert has(shared, noise(1))


def test_a_run_that_another_clone_never_pushed_keeps_its_files(store, other, shared):
    stored.run(other, 1, {1: {"m": noise(1)}})
    push(other, shared)
    stored.run(store, 2, {1: {"m": noise(2)}})
    push(store, shared)
    assert [one.sweep for one in twice(store, shared)] == [{}, {}]
    assert has(shared, noise(1))


@pytest.mark.parametrize("how", ["migrate", "repair"])
def test_what_came_by_another_way_than_a_push_is_needed_as_well(store, other, shared, track, how):
    stored.run(store, 1, {1: {"m": noise(1)}})
    push(store, shared)
    stored.run(other, 2, {1: {"m": noise(2)}})
    words = ("migrate", "--to", shared.url) if how == "migrate" else ("verify", "--repair")
    track("store", *words, cwd=other.paths.worktree, GITTRACK_STORE="embedded" if how == "migrate" else shared.url)
    assert has(shared, noise(2))
    twice(store, shared)
    assert has(shared, noise(2))


def test_what_another_clone_has_let_go_goes_when_it_says_so(store, other, shared):
    run_id = stored.run(other, 1, {1: {"m": noise(1)}})
    push(other, shared)
    let_go(other, run_id)
    twice(store, shared)
    assert has(shared, noise(1))
    gc_shared.collect(other, shared, time.time())
    twice(store, shared)
    assert not has(shared, noise(1))


def test_chunks_that_only_the_stores_own_list_names_are_needed(store, other, shared):
    """A clone that has fetched a run's record, and nothing of its files."""
    data = noise(1, 9_000_000)
    run_id = stored.run(store, 1, {1: {"m": data}})
    push(store, shared)
    [ref] = store.refs("refs/track/runs/")
    other.git.run("fetch", "-q", "origin", f"{ref}:{ref}")
    let_go(store, run_id)
    shared.delete([entry.key for entry in shared.list("needs/")])
    assert [one.sweep for one in twice(other, shared)] == [{}, {}]
    assert has(shared, data)


def test_the_store_of_another_repository_is_left_alone(store, shared):
    shared.put("gittrack.json", b'{"format":1,"repository":"' + b"1" * 40 + b'"}')
    shared.flush()
    with pytest.raises(errors.StoreFailed, match=r"another|also used"):
        gc_shared.collect(store, shared, time.time())


def test_a_need_that_cannot_be_read_stops_everything(store, shared):
    stored.run(store, 1, {})
    Content(shared).put_bytes(noise(1))
    shared.put("needs/f00/x.json", b"{")
    shared.flush()
    with pytest.raises(errors.StoreFailed, match="needs/f00"):
        twice(store, shared)
    assert has(shared, noise(1))


def test_two_sweepers_do_not_sweep_at_once(shared):
    with leases.sweeping(shared), pytest.raises(errors.StoreFailed, match="cleaning up"), leases.sweeping(shared):
        pass
    with leases.sweeping(shared):
        pass
    assert list(shared.list("sweeping/")) == []


def test_a_dead_sweeper_keeps_nobody_waiting(shared):
    shared.put("sweeping/dead.json", b'{"until": %d}' % (time.time() - leases.SLACK - 1))
    shared.flush()
    leases.announce(shared, "me", ["chunks/aa/x"])
    assert leases.announced(shared) == {"me": {"chunks/aa/x"}}


def test_a_sweeper_that_took_too_long_stops(shared, monkeypatch):
    with pytest.raises(errors.StoreFailed, match="too long"), leases.sweeping(shared) as check:
        check()
        later = time.time() + leases.LEASE + 1
        monkeypatch.setattr(leases.time, "time", lambda: later)
        check()


class Ticking:
    """A store that calls `tick` before everything that it is asked."""

    def __init__(self, store, tick):
        self._store, self._tick, self.url = store, tick, store.url

    def __getattr__(self, name):
        inner = getattr(self._store, name)

        def call(*args):
            self._tick()
            return list(inner(*args)) if name == "list" else inner(*args)

        return call


def condemned_file(store, other, shared, number):
    """A file that is in the store, condemned and due; `other` has it again, in a run of its own."""
    data = noise(99, 2_500_000)
    run_id = stored.run(store, number, {1: {"m": data}})
    push(store, shared)
    let_go(store, run_id)
    shared.delete([entry.key for entry in shared.list("needs/")])
    gc_shared.collect(store, shared, time.time() - 20 * DAY)
    for entry in shared.list("chunks/"):
        os.utime(os.path.join(shared.root, entry.key), (NOW - 30 * DAY, NOW - 30 * DAY))
    gc_shared.collect(store, shared, time.time() - 19 * DAY)
    stored.run(other, number + 1000, {1: {"m": data}})
    return data


def upload(other, shared):
    with contextlib.closing(builder.opened(other.paths.worktree)) as own:
        files = {(one.sha256, one.size) for one in stores.needed(own)}
        announcing.announce(own, shared, dict(files))
        stores.send([stores.local(own)], Content(shared), files, 1)


def collect(store, shared, done):
    with contextlib.closing(builder.opened(store.paths.worktree)) as own:
        done.append(gc_shared.collect(own, shared, time.time()))


@pytest.mark.parametrize("first", ["writer", "sweeper"])
def test_at_whatever_step_the_other_one_comes_nothing_that_is_needed_is_lost(store, other, shared, monkeypatch, first):
    monkeypatch.setattr(leases, "_PAUSE", 0.01)
    at, last, swept = 0, 1, 0
    while at < last:
        data = condemned_file(store, other, shared, at)
        count, threads, done = [0], [], []

        def tick(at=at, count=count, threads=threads, done=done):
            if threading.current_thread() in threads:
                return
            if count[0] == at:
                work = (collect, (store, shared, done)) if first == "writer" else (upload, (other, shared))
                threads.append(threading.Thread(target=work[0], args=work[1]))
                threads[0].start()
                threads[0].join(0.15)
            count[0] += 1

        ticking = Ticking(shared, tick)
        upload(other, ticking) if first == "writer" else collect(store, ticking, done)
        threads[0].join()
        assert has(shared, data), f"lost at step {at}"
        swept += sum(len(one.sweep) for one in done)
        for repo in (store, other):
            for ref, oid in repo.refs("refs/track/runs/").items():
                repo.git.run("update-ref", "-d", ref, oid)
        shared.delete([entry.key for entry in shared.list("") if entry.key != stores.OWNER])
        at, last = at + 1, count[0]
    assert last > 8
    assert swept, "the file was there to be swept"
