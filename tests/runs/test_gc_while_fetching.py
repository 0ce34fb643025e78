"""Files that are being fetched into a clone rely on what is there: nobody takes that away meanwhile."""

import hashlib
import random
import threading
import time

import pytest
import stored

from gittrack.runs import embedded, gc
from gittrack.store import transfer
from gittrack.store.content import Content, chunk_key
from gittrack.store.memory import MemoryStore

DATA = random.Random(1).randbytes(12_000_000)
FILE = (hashlib.sha256(DATA).hexdigest(), len(DATA))
DAYS = 15 * 86400.0


class Interrupted(MemoryStore):
    """A store that has somebody clean up the clone when a chunk is first asked for. He may have to wait."""

    def __init__(self, clean_up):
        super().__init__()
        self._work = threading.Thread(target=clean_up)
        self._started = False

    def get(self, key):
        if key.startswith("chunks/") and not self._started:
            self._started = True
            self._work.start()
            self._work.join(1)
        return super().get(key)

    def finish(self):
        assert self._started
        self._work.join()


@pytest.fixture
def far(store):
    """The run's file is in a store elsewhere; the clone has one of its chunks, old, and needed by nobody else."""
    stored.run(store, 1, {1: {"m": DATA}})
    content = stored.content(store)
    chunks = content.chunks(*FILE)
    content.store.delete([key for key in content.objects(*FILE) if key != chunk_key(chunks[0].sha256)])
    stored.age(store, DAYS)

    def clean_up():
        gc.sweep(store, gc.plan(store, time.time(), DAYS - 86400), time.time(), DAYS - 86400)

    source = Interrupted(clean_up)
    Content(source).put_bytes(DATA)
    return source


def test_a_transfer_and_a_clean_up_exclude_each_other(store, far):
    content = stored.content(store)
    assert transfer.copy(Content(far), content, [FILE]).files == 1
    far.finish()
    assert content.read(*FILE) == DATA


def test_so_do_bytes_that_come_through_the_git_remote(store, far):
    content = stored.content(store)
    far.close = lambda: None
    assert embedded._take(far, content, [FILE], None) == []
    far.finish()
    assert content.read(*FILE) == DATA
