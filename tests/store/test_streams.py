"""A file that comes from a network is in the store as any other, though its chunks are kept while more of it comes."""

import io

import pytest
from common import noise

from gittrack import errors
from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore
from gittrack.store.memory import MemoryStore

DATA = noise(5, 40_000_000)


class InOrder(io.RawIOBase):
    """Gives a few bytes at a time, and has no other order than its own."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readinto(self, buffer):
        return self._data.readinto(buffer[:70_000])


@pytest.mark.parametrize("size", [0, 1, 300_000, 8_388_608, len(DATA)])
def test_a_stream_is_cut_as_a_file_is(tmp_path, size):
    data = DATA[:size]
    heard = []
    streamed, read = Content(DirectoryStore(str(tmp_path / "a"))), Content(MemoryStore())
    kept = streamed.put_stream(InOrder(data), size, io.BytesIO(data), heard.append)
    assert kept == read.put_bytes(data)
    assert heard == read.chunks(kept.sha256, size) == streamed.chunks(kept.sha256, size)
    assert streamed.read(kept.sha256, size) == data


def test_a_store_that_fails_ends_a_stream_and_hears_of_nothing_more():
    class Failing(MemoryStore):
        asked = 0

        def put(self, key, data):
            self.asked += 1
            if self.asked == 5:
                raise errors.StoreFailed("broken", "")
            super().put(key, data)

    store, heard = Failing(), []
    with pytest.raises(errors.StoreFailed, match="broken"):
        Content(store).put_stream(InOrder(DATA), len(DATA), io.BytesIO(DATA), heard.append)
    assert len(heard) == 4 and store.asked == 5
