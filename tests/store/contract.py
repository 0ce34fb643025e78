"""What every store promises, backend or wrapper: inherit `StoreContract` and give a fixture `store`, new and empty."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gittrack import errors
from gittrack.store.base import Store
from gittrack.store.content import Content

# Not `chunks/`: those have bytes that fit their names, and some wrappers look.
KEY = "things/ab/" + "ab" * 32
OTHER = "things/cd/" + "cd" * 32


class StoreContract:
    """The tests. A class, so that each store's file says in one line what it is."""

    def test_what_was_put_is_got_back(self, store: Store):
        store.put(KEY, b"bytes \0\xff")
        store.flush()
        assert store.get(KEY) == b"bytes \0\xff"
        assert store.size(KEY) == 8

    def test_what_was_put_can_be_read_before_it_is_flushed(self, store: Store):
        store.put(KEY, b"now")
        assert (store.get(KEY), store.size(KEY)) == (b"now", 3)
        assert [entry.key for entry in store.list("things/")] == [KEY]

    def test_bytearrays_and_views_may_change_after_put(self, store: Store):
        data = bytearray(b"before")
        store.put(KEY, data)
        store.put(OTHER, memoryview(data)[1:4])
        data[:] = b"after!"
        store.flush()
        assert (store.get(KEY), store.get(OTHER)) == (b"before", b"efo")

    def test_an_object_can_be_empty(self, store: Store):
        store.put(KEY, b"")
        store.flush()
        assert (store.get(KEY), store.size(KEY)) == (b"", 0)

    def test_a_second_put_replaces_the_first(self, store: Store):
        store.put(KEY, b"a longer one")
        store.flush()
        store.put(KEY, b"short")
        store.flush()
        assert (store.get(KEY), store.size(KEY)) == (b"short", 5)
        assert [entry.size for entry in store.list("")] == [5]

    def test_what_is_not_there_is_missing(self, store: Store):
        assert store.size(KEY) is None
        with pytest.raises(errors.MissingContent) as raised:
            store.get(KEY)
        assert KEY in raised.value.message and raised.value.hint

    def test_a_listing_has_keys_sizes_and_times(self, store: Store):
        before = time.time()
        for number in range(3):
            store.put(f"things/0{number}/{number:064x}", b"x" * number)
        store.put("files/ab/" + "ab" * 32, b"list")
        store.put("gittrack.json", b"{}")
        store.flush()
        found = {entry.key: entry for entry in store.list("things/")}
        assert {key: entry.size for key, entry in found.items()} == {f"things/0{n}/{n:064x}": n for n in range(3)}
        assert all(before - 5 <= entry.modified <= time.time() + 5 for entry in found.values())
        assert len(list(store.list(""))) == 5

    def test_a_prefix_need_not_end_where_a_folder_ends(self, store: Store):
        store.put(KEY, b"1")
        store.put(OTHER, b"2")
        store.flush()
        assert [entry.key for entry in store.list("things/a")] == [KEY]
        assert [entry.key for entry in store.list(KEY)] == [KEY]
        assert list(store.list("nothing/")) == []

    def test_a_listing_of_an_empty_store_is_empty(self, store: Store):
        assert list(store.list("")) == []

    def test_deleting_removes_and_does_not_mind_what_is_absent(self, store: Store):
        store.put(KEY, b"1")
        store.put(OTHER, b"2")
        store.flush()
        store.delete([KEY, "things/ee/" + "ee" * 32])
        assert store.size(KEY) is None
        assert [entry.key for entry in store.list("")] == [OTHER]
        store.delete([])

    def test_what_is_deleted_before_the_flush_stays_away(self, store: Store):
        store.put(KEY, b"1")
        store.delete([KEY])
        store.flush()
        assert store.size(KEY) is None

    def test_flushing_nothing_is_fine(self, store: Store):
        store.flush()
        store.flush()
        assert store.size(KEY) is None

    def test_many_objects_at_once_from_many_threads(self, store: Store):
        def work(thread: int) -> None:
            for number in range(20):
                data = f"{thread} {number}".encode()
                key = "things/00/" + hashlib.sha256(data).hexdigest()
                store.put(key, data)
                assert store.get(key) == data
            store.flush()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        assert len(list(store.list("things/"))) == 120

    def test_one_key_from_many_threads_is_whole(self, store: Store):
        values = [bytes([number]) * 200_000 for number in range(4)]

        def work(data: bytes) -> None:
            store.put(KEY, data)
            store.flush()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, values))
        assert store.get(KEY) in values
        assert [entry.key for entry in store.list("")] == [KEY]

    def test_the_address_is_for_messages(self, store: Store):
        assert store.url and "\n" not in store.url

    def test_files_go_in_and_come_out(self, store: Store, tmp_path):
        content = Content(store)
        for size in (0, 1, 300_000, 6_000_000):
            data = os.urandom(size)
            kept = content.put_bytes(data)
            assert kept == (hashlib.sha256(data).hexdigest(), size, kept.new)
            assert content.has(kept.sha256, size)
            assert content.read(kept.sha256, size) == data
            content.copy_to(kept.sha256, size, str(tmp_path / "out"))
            assert (tmp_path / "out").read_bytes() == data
            assert content.put_bytes(data).new == 0
