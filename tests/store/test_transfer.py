"""Files go from store to store whole, once, and again after any interruption."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.store import open as opening
from gittrack.store import transfer
from gittrack.store.content import Content, chunk_key, list_key
from gittrack.store.directory import DirectoryStore
from gittrack.store.limit import LimitStore
from gittrack.store.memory import MemoryStore


@pytest.fixture
def source(tmp_path: Path) -> Content:
    return Content(DirectoryStore(str(tmp_path / "source")))


@pytest.fixture
def target(s3, bucket) -> Content:
    return Content(opening.open_store(s3.url(bucket), s3.environ))


def kept(content: Content, data: bytes) -> tuple[str, int]:
    done = content.put_bytes(data)
    return done.sha256, done.size


def test_files_of_every_size_arrive(source: Content, target: Content) -> None:
    datas = [b"", b"x", os.urandom(300_000), os.urandom(9_000_000)]
    files = [kept(source, data) for data in datas]
    done: list[int] = []
    report = transfer.copy(source, target, [*files, files[1]], progress=done.append)
    assert [target.read(*file) for file in files] == datas
    assert report.files == 4 and report.size == sum(map(len, datas)) == sum(done)
    assert report.sent == sum(map(len, datas)) and not report.missing
    again = transfer.copy(source, target, files)
    assert (again.files, again.objects, again.sent) == (4, 0, 0)


def test_what_two_files_share_is_sent_once(source: Content) -> None:
    shared = os.urandom(8_000_000)
    files = [kept(source, shared), kept(source, shared + b"a little more")]
    target = Content(MemoryStore())
    report = transfer.copy(source, target, files)
    assert report.files == 2 and report.sent < 13_000_000
    assert target.read(*files[1]).endswith(b"a little more")


def test_many_small_files_are_listed_instead_of_asked_for(source: Content, target: Content) -> None:
    files = [source.put_bytes(b"%d" % number, durable=False)[:2] for number in range(2500)]
    planned = transfer.lacking(source, target, files)
    assert planned.objects == 2500 and planned.files == 2500
    assert not list(target.store.list(""))
    assert transfer.copy(source, target, files).objects == 2500
    assert transfer.lacking(source, target, files).objects == 0


def test_a_file_that_the_source_lacks_is_said_unless_the_target_has_it(source: Content, target: Content) -> None:
    here, there = kept(source, b"here"), kept(target, b"there")
    nowhere = ("ab" * 32, 5)
    report = transfer.copy(source, target, [here, there, nowhere])
    assert report.files == 2 and report.missing == (nowhere,) and report.objects == 1


def test_a_damaged_chunk_is_not_passed_on(source: Content, target: Content) -> None:
    data = os.urandom(9_000_000)
    file, other = kept(source, data), kept(source, b"good")
    chunk = source.chunks(*file)[1]
    source.store.put(chunk_key(chunk.sha256), b"x" * chunk.size)
    source.flush()
    report = transfer.copy(source, target, [file, other])
    assert report.damaged == (file,) and report.files == 1
    assert target.store.size(list_key(file[0])) is None and target.read(*other) == b"good"


def test_a_chunk_of_the_wrong_size_at_the_target_is_sent_again(source: Content) -> None:
    target = Content(MemoryStore())
    file = kept(source, b"whole")
    target.store.put(chunk_key(file[0]), b"who")
    assert transfer.copy(source, target, [file]).objects == 1
    assert target.read(*file) == b"whole"


class Failing(MemoryStore):
    """Takes so many objects and no more."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.taken = 0
        self.lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        with self.lock:
            self.taken += 1
            if self.taken > self.takes:
                raise errors.StoreFailed("full", "wait")
        super().put(key, data)


def test_after_a_failure_it_goes_on_where_it_was_and_no_list_came_before_its_chunks(source: Content) -> None:
    files = [kept(source, os.urandom(6_000_000)) for _ in range(3)]
    objects = sum(len(source.objects(*file)) for file in files)
    store = Failing(5)
    target = Content(store)
    with pytest.raises(errors.StoreFailed, match="full"):
        transfer.copy(source, target, files)
    assert len(list(store.list("chunks/"))) == 5 and not list(store.list("files/"))
    store.takes = 10**6
    report = transfer.copy(source, target, files)
    assert report.files == 3 and report.objects == objects - 5


def test_an_interrupt_leaves_what_a_second_call_completes(source: Content, tmp_path: Path) -> None:
    files = [kept(source, os.urandom(2_000_000)) for _ in range(8)]
    script = (
        "import sys, ast\n"
        "from gittrack.store import transfer\n"
        "from gittrack.store.content import Content\n"
        "from gittrack.store.directory import DirectoryStore\n"
        "from gittrack.store.limit import LimitStore\n"
        "source, target = (Content(DirectoryStore(path)) for path in sys.argv[1:3])\n"
        "slow = Content(LimitStore(target.store, 4_000_000))\n"
        "transfer.copy(source, slow, ast.literal_eval(sys.argv[3]), 2, lambda done: print(done, flush=True))\n"
    )
    root = tmp_path / "target"
    argv = [sys.executable, "-c", script, str(tmp_path / "source"), str(root), repr(files)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) > 0:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    target = Content(DirectoryStore(str(root)))
    before = len(list(target.store.list("chunks/")))
    total = sum(len(source.chunks(*file)) for file in files)
    assert 0 < before < total
    report = transfer.copy(source, target, files)
    assert report.files == 8 and not report.missing
    assert all(target.has(*file) for file in files)
    assert len(list(target.store.list("chunks/"))) == total


def test_the_limit_holds_for_all_threads_together(source: Content) -> None:
    files = [kept(source, os.urandom(100_000)) for _ in range(10)]
    start = time.monotonic()
    transfer.copy(source, Content(LimitStore(MemoryStore(), 2_000_000)), files)
    assert time.monotonic() - start >= 0.44  # the last one begins when nine have had their time


def test_batches_are_cut_before_a_limit_is_passed_and_what_is_above_it_goes_alone() -> None:
    given = [("a", 100), ("b", 100), ("c", 300), ("d", 0), ("e", 0), ("f", 0)]
    found = [[name for name, _ in batch] for batch in transfer.batches(given, 250, 2)]
    assert found == [["a", "b"], ["c"], ["d", "e"], ["f"]]
    assert [*transfer.batches([], 250, 2)] == []
