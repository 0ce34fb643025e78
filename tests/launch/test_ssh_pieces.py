"""What a host sends waits here until somebody reads it: in order, and without more memory than it has bytes."""

import os
import random
import signal
import threading
import time
import tracemalloc
from queue import Queue

import pytest
from paramiko.buffered_pipe import PipeTimeout

from gittrack.launch.ssh.pieces import Pieces


def test_what_is_read_is_what_came_whatever_the_pieces():
    chance = random.Random(1)
    data = chance.randbytes(3_000_000)
    pieces = Pieces()

    def feed():
        at = 0
        while at < len(data):
            size = chance.choice((1, 5, 4095, 4096, 32768, 131072))
            pieces.feed(data[at : at + size])
            at += size
        pieces.close()

    thread = threading.Thread(target=feed)
    thread.start()
    came = []
    while found := pieces.read(size := random.choice((1000, 65536, 1 << 20)), 10):
        assert len(found) <= size
        came.append(found)
    thread.join()
    assert b"".join(came) == data
    assert len(pieces) == 0 and not pieces.read_ready()


def test_who_asks_for_much_gets_the_little_that_there_is():
    pieces = Pieces()
    pieces.feed(b"little")
    assert pieces.read(1 << 20, 10) == b"little"
    timer = threading.Timer(0.05, pieces.feed, (b"later",))
    timer.start()
    assert pieces.read(1 << 20, 10) == b"later"
    timer.join()


def test_a_reader_waits_no_longer_than_it_wants():
    start = time.monotonic()
    with pytest.raises(PipeTimeout):
        Pieces().read(1 << 20, 0.05)
    assert time.monotonic() - start < 5


def test_a_host_that_sends_single_bytes_takes_no_more_memory_than_they_are():
    pieces = Pieces()
    tracemalloc.start()
    for _ in range(100_000):
        pieces.feed(b"x")
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(pieces) == 100_000 and used < 300_000


def test_what_comes_when_a_reader_has_just_given_up_is_no_end_for_the_next():
    for enough in (10, 1 << 20):
        pieces = Pieces()
        for turn in range(200):
            feeder = threading.Thread(target=pieces.feed, args=(b"x",))
            feeder.start()
            found = b""
            while not found:  # b"" would be the end
                try:
                    found = pieces.read(enough, 0.0001)
                    assert found == b"x", turn
                except PipeTimeout:
                    pass
            feeder.join()


def test_the_end_wakes_who_waits_and_comes_after_what_was_there():
    pieces = Pieces()
    came: Queue[bytes] = Queue()
    reader = threading.Thread(target=lambda: [came.put(pieces.read(1 << 20, 60)) for _ in range(2)])
    reader.start()
    pieces.feed(b"last")
    assert came.get(timeout=60) == b"last"
    pieces.close()
    assert came.get(timeout=60) == b"" == pieces.read(10)
    reader.join()


def test_a_reader_that_was_interrupted_reads_on():
    """Ctrl-C ends the wait of the main thread, of which nobody else learns."""
    pieces = Pieces()
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        pieces.read(10, 60)
    timer.join()
    pieces.feed(b"first")
    assert pieces.read(10, 60) == b"first"
    with pytest.raises(PipeTimeout):
        pieces.read(10, 0.01)
    pieces.feed(b"second")
    assert pieces.read(10, 60) == b"second"
