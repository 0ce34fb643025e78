"""What no run needs goes, what any run needs stays, whatever happens at the same time."""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import time

import builder
import keeping
import pytest
import stored
from common import noise

from gittrack import errors
from gittrack.git.repository import RefChange
from gittrack.record import waiting
from gittrack.runs import gc, gc_plan, live, needs, pruning, reader, undo
from gittrack.runs.annotations import Author
from gittrack.store.base import Entry
from gittrack.store.local import lock_path

DAY = 86400.0


def author():
    return Author("Ann <ann@example.org>", time.time(), "git track test")


def collect(store, grace=0.0):
    return gc.sweep(store, gc.plan(store, time.time() + 1, grace), time.time() + 1, grace)


def has(store, data):
    sha256 = hashlib.sha256(data).hexdigest()
    return stored.content(store).has(sha256, len(data))


def let_go(store, run_id):
    pruning.prune(store, {run_id: pruning.all_of(store, reader.read(store, run_id))}, author())


def test_what_a_run_needs_stays_and_the_rest_goes(store):
    stored.run(store, 1, {1: {"m": noise(1)}, 2: {"m": noise(2, 9_000_000)}})
    stored.content(store).put_bytes(noise(3))
    stored.content(store).put_bytes(noise(4, 9_000_000))
    done = collect(store)
    assert has(store, noise(1)) and has(store, noise(2, 9_000_000))
    assert not has(store, noise(3)) and not has(store, noise(4, 9_000_000))
    assert 9_100_000 <= done.freed < 9_200_000
    assert collect(store).sweep == {}


def test_what_is_newer_than_the_grace_period_stays(store):
    stored.run(store, 1, {})
    stored.content(store).put_bytes(noise(3))
    assert collect(store, 14 * DAY).sweep == {}
    stored.age(store, 15 * DAY)
    assert len(collect(store, 14 * DAY).sweep) == 1


def test_chunks_that_a_needed_file_shares_stay(store):
    old = noise(1, 12_000_000)
    new = old[:6_000_000] + noise(2, 500_000) + old[6_000_000:]
    first = stored.run(store, 1, {1: {"m": old}})
    stored.run(store, 2, {1: {"m": new}})
    let_go(store, first)
    done = collect(store)
    assert 0 < done.freed < 5_000_000
    assert stored.content(store).read(*_of(new)) == new


def _of(data):
    return hashlib.sha256(data).hexdigest(), len(data)


def test_files_that_were_let_go_can_be_had_back_until_they_are_gone(store):
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    let_go(store, run_id)
    assert len(gc.plan(store, time.time() + 1, 0).sweep) == 1
    undo.undo(store, author())
    assert collect(store).sweep == {}
    let_go(store, run_id)
    collect(store)
    assert not has(store, noise(1))


def test_what_two_runs_have_goes_with_the_second(store):
    ids = [stored.run(store, number, {1: {"m": noise(1)}}) for number in (1, 2)]
    let_go(store, ids[0])
    assert collect(store).sweep == {}
    let_go(store, ids[1])
    assert len(collect(store).sweep) == 1


@pytest.mark.parametrize("place", ["refs/track-remotes/origin/runs/aa/x", "refs/track-undo/aa/x"])
def test_what_only_a_remote_or_an_undo_still_names_is_needed(store, place):
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    [(ref, tip)] = store.refs("refs/track/runs/").items()
    store.update_refs([RefChange(ref, tip, None), RefChange(place, None, tip)])
    assert collect(store).sweep == {}
    store.update_refs([RefChange(place, tip, None)])
    assert len(collect(store).sweep) == 1, run_id


def test_a_deleted_run_keeps_its_files(store, fresh):
    run_id = stored.run(store, 1, {1: {"m": noise(1)}})
    from gittrack.runs.annotations import Annotations

    assert Annotations(store, fresh(), author()).delete([run_id]) == 1
    assert collect(store).sweep == {}


def test_a_live_run_needs_what_its_journal_names(store):
    run = keeping.Run(store.paths)
    run.write(keeping.checkpoint(1, 1))
    run.keep(1, {"m": noise(1)}, "store")
    assert has(store, noise(1))
    assert collect(store).sweep == {}


def test_what_is_being_stored_is_left_whatever_the_grace_period(store):
    run = keeping.Run(store.paths)
    parcel = os.path.join(run.directory, "parcels", f"{int(time.time() * 1000):013d}-1-0001.new")
    os.makedirs(parcel)
    stored.content(store).put_bytes(noise(1))
    assert gc.plan(store, time.time() + 1, 0).young == 1
    assert collect(store).sweep == {}
    os.rmdir(parcel)
    assert len(collect(store).sweep) == 1


def test_what_no_run_needs_goes_while_a_run_lives_of_which_nothing_waits(store):
    """Its storer has a lock and says how far it is, in the folder of parcels: these are none."""
    run = keeping.Run(store.paths)
    run.write(keeping.checkpoint(1, 1))
    run.keep(1, {"m": noise(1)}, "store")
    for name in (waiting.LOCK, waiting.FILE):
        with open(waiting.in_parcels(run.directory, name), "wb"):
            pass
    stored.content(store).put_bytes(noise(2))
    collect(store)
    assert has(store, noise(1)) and not has(store, noise(2))


def test_a_record_that_cannot_be_read_stops_everything(store):
    stored.run(store, 1, {1: {"m": noise(1)}})
    stored.content(store).put_bytes(noise(2))
    files = builder.files_of(store, next(iter(store.refs("refs/track/runs/").values())))
    other = builder.run_id(9)
    ref = f"refs/track/runs/{other[-2:]}/{other}"
    tip = builder.record(store, {**files, "summary.json": b"{"}, ref)
    with pytest.raises(errors.DamagedRecord, match=other):
        collect(store)
    builder.record(store, {**files, "format": b"gittrack 99\n"}, ref, tip)
    with pytest.raises(errors.NewerFormat):
        collect(store)
    assert has(store, noise(2))


def test_a_shallow_clone_removes_nothing(store):
    stored.run(store, 1, {})
    with open(os.path.join(store.paths.common_dir, "shallow"), "w") as file:
        file.write("")
    with pytest.raises(errors.Unsupported, match="shallow"):
        collect(store)


def test_a_damaged_list_of_chunks_stops_everything(store):
    data = noise(1, 9_000_000)
    stored.run(store, 1, {1: {"m": data}})
    key = stored.content(store).objects(*_of(data))[-1]
    path = os.path.join(stored.content(store).store.url.removeprefix("file://"), key)
    os.chmod(path, 0o644)
    with open(path, "w") as file:
        file.write("gittrack chunks 1 7\n")
    with pytest.raises(errors.CorruptContent):
        collect(store)


# -- at the same time


class Writer:
    """Stores a file as a run does: parcel, bytes, journal, parcel gone. `tick` is called before every step."""

    def __init__(self, store, data, tick):
        self.store, self.data, self.tick = store, data, tick
        self.run = keeping.Run(store.paths)
        self.name = f"{int(time.time() * 1000):013d}-42-0001"

    def work(self):
        parcel = os.path.join(self.run.directory, "parcels", self.name)
        self.tick()
        os.makedirs(parcel)
        content = stored.content(self.store)
        for method in ("put", "flush", "get", "size", "freshen"):
            setattr(content.store, method, self._ticking(getattr(content.store, method)))
        content._known = content.store.freshen
        content.put_bytes(self.data)
        self.tick()
        line = keeping.kept(1, "m", self.data, "store") | {"parcel": self.name}
        self.run.write(line, keeping.whole(1) | {"parcel": self.name}, file=keeping.STORER)
        self.tick()
        os.rmdir(parcel)
        self.tick()

    def _ticking(self, inner):
        def call(*args):
            self.tick()
            return inner(*args)

        return call


def collect_as_another(store, swept):
    with contextlib.closing(builder.opened(store.paths.common_dir)) as own:
        swept.append(gc.sweep(own, gc.plan(own, time.time(), 0), time.time(), 0))


def test_at_whatever_step_of_storing_a_collector_comes_the_file_is_there_afterwards(store):
    """Every chunk is there already, old and unneeded: nothing but relying on it protects it."""
    data, at, last, removed = noise(5, 5_000_000), 0, 1, 0
    while at < last:
        stored.content(store).put_bytes(data)
        stored.age(store, 30 * DAY)
        count, threads, swept = [0], [], []

        def tick(at=at, count=count, threads=threads, swept=swept):
            if count[0] == at:
                threads.append(threading.Thread(target=collect_as_another, args=(store, swept)))
                threads[0].start()
                threads[0].join(0.1)  # it may have to wait for the writer
            count[0] += 1

        writer = Writer(store, data, tick)
        writer.work()
        threads[0].join()
        assert stored.content(store).read(*_of(data)) == data, f"lost at step {at}"
        removed += len(swept[0].sweep)
        live.remove(writer.run.directory)
        at, last = at + 1, count[0]
    assert last > 6
    assert removed, "a collector that came before the parcel took what was there"


def test_at_whatever_step_of_collecting_a_writer_comes_the_file_is_there_afterwards(store, monkeypatch):
    data, at, last = noise(5, 5_000_000), 0, 1
    while at < last:
        stored.content(store).put_bytes(data)
        stored.age(store, 30 * DAY)
        count, threads = [0], []
        writer = Writer(store, data, lambda: None)

        def tick(at=at, count=count, threads=threads, writer=writer):
            if threading.current_thread() not in threads:
                if count[0] == at:
                    threads.append(threading.Thread(target=writer.work))
                    threads[0].start()
                    threads[0].join(0.1)  # it may have to wait for the collector
                count[0] += 1

        with monkeypatch.context() as patch:
            for module, name in ((needs, "_storing"), (needs, "_of_journals"), (needs, "_of_refs"), (gc, "keys_of"),
                                 (gc_plan, "local"), (os, "unlink"), (gc.fcntl, "flock")):  # fmt: skip
                patch.setattr(module, name, _before(getattr(module, name), tick))
            collect_as_another(store, [])
        threads[0].join()
        assert stored.content(store).read(*_of(data)) == data, f"lost at step {at}"
        live.remove(writer.run.directory)
        at, last = at + 1, count[0]
    assert last > 8


def _before(inner, tick):
    def call(*args, **options):
        tick()
        return inner(*args, **options)

    return call


STORING = """
import os, sys, time
sys.path[:0] = sys.argv[3:]
import keeping, random
from gittrack.git.discover import discover
run = keeping.Run(discover(sys.argv[1], os.environ), sys.argv[2])
for number in range(25):
    name = f"{int(time.time() * 1000):013d}-{os.getpid()}-{number:04x}"
    parcel = os.path.join(run.directory, "parcels", name)
    os.makedirs(parcel)
    data = random.Random(number % 3).randbytes(3_000_000)
    run.store.put_bytes(data)
    run.write(keeping.kept(number, "m", data, "store") | {"parcel": name}, file=keeping.STORER)
    os.rmdir(parcel)
    if number % 5 == 4:  # a run that never was
        os.rename(run.directory, run.directory + ".done")
        run = keeping.Run(run.paths, sys.argv[2])
        os.system(f"rm -r {run.directory}.done")
print("done")
"""


def test_processes_that_store_and_collect_for_seconds_lose_nothing(store):
    here = os.path.dirname(__file__)
    ids = ["a" * 20, "b" * 20]
    argv = [sys.executable, "-c", STORING, store.paths.common_dir]
    writers = [subprocess.Popen([*argv, run_id, here], stdout=subprocess.PIPE, text=True) for run_id in ids]
    rounds = removed = 0
    while any(writer.poll() is None for writer in writers):
        removed += len(collect(store).sweep)
        rounds += 1
        for file in needs.of_clone(store).files:
            stored.content(store).verify(file.sha256, file.size)
    assert [writer.communicate()[0] for writer in writers] == ["done\n", "done\n"]
    for file in needs.of_clone(store).files:
        stored.content(store).verify(file.sha256, file.size)
    assert rounds > 1


def test_a_collector_waits_for_no_dead_process(store):
    program = "import fcntl, os, sys, signal; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); "
    program += "fcntl.flock(f, fcntl.LOCK_SH); os.kill(os.getpid(), signal.SIGKILL)"
    stored.content(store).put_bytes(noise(1))
    subprocess.run([sys.executable, "-c", program, lock_path(live.track_dir(store.paths))], check=False)
    assert len(collect(store).sweep) == 1


# -- the plan alone


def entries(*pairs):
    return [Entry(key, 10, modified) for key, modified in pairs]


def test_lists_go_before_the_chunks_that_they_name():
    plan = gc_plan.local(entries(("chunks/aa/1", 1), ("files/bb/2", 1), ("chunks/cc/3", 1)), {"chunks/cc/3"}, 5)
    assert list(plan.sweep) == ["files/bb/2", "chunks/aa/1"]
    assert (plan.freed, plan.needed, plan.young) == (20, 10, 0)


def test_what_is_neither_chunk_nor_list_is_left():
    assert gc_plan.local(entries(("gittrack.json", 1), ("condemned/x", 1)), set(), 5).sweep == {}


def test_grace_periods_are_read():
    assert [gc_plan.seconds(text) for text in ("0", "0d", "90s", "2h", "14d", "1w")] == [
        0,
        0,
        90,
        7200,
        14 * DAY,
        7 * DAY,
    ]
    for text in ("14", "-1d", "d", "1y", "", "1.5d"):
        with pytest.raises(errors.UsageError):
            gc_plan.seconds(text)
