"""The contract on Ceph, whose S3 is that of data centres: real signatures, real bulk deletion, real errors.

A module of its own: the server takes 15 s to start and half a gigabyte of memory.
"""

import os

import pytest
import servers
from contract import StoreContract

from gittrack import errors
from gittrack.store import open as opening
from gittrack.store.base import Store


@pytest.fixture(scope="module")
def server(tmp_path_factory, request):
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base  # above the folders of the workers
    with servers.ceph(shared / "ceph") as server:
        yield server


class TestCeph(StoreContract):
    @pytest.fixture
    def store(self, server):
        url = server.url("b" + os.urandom(8).hex())
        opening.create(url, server.environ)
        return opening.open_store(url, server.environ)

    def test_more_is_deleted_than_one_request_takes(self, store: Store) -> None:
        names = [f"things/{number}" for number in range(1100)]
        for name in names:
            store.put(name, b"1")
        store.delete(names)
        assert not list(store.list(""))

    def test_making_a_bucket_that_is_there_is_fine(self, server) -> None:
        url = server.url("again")
        opening.create(url, server.environ)
        opening.open_store(url, server.environ).put("kept", b"1")
        opening.create(url, server.environ)
        assert opening.open_store(url, server.environ).get("kept") == b"1"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses the credentials (SignatureDoesNotMatch)"),
            ({"AWS_ACCESS_KEY_ID": "NOBODY"}, "refuses the credentials (InvalidAccessKeyId)"),
        ],
    )
    def test_wrong_credentials_are_said_and_not_shown(self, server, change, said) -> None:
        url = server.url("again")
        store = opening.open_store(url, {**server.environ, **change})
        with pytest.raises(errors.StoreFailed) as caught:
            store.put("a", b"1")
        assert said in caught.value.message and "AWS_ACCESS_KEY_ID" in caught.value.hint
        shown = f"{caught.value.message} {caught.value.hint}"
        assert servers.KEY_ID not in shown and servers.SECRET not in shown and "NOBODY" not in shown

    def test_a_bucket_that_is_not_there_is_named_with_the_command_that_makes_it(self, server) -> None:
        store = opening.open_store(server.url("nowhere"), server.environ)
        for call in (lambda: store.put("a", b"1"), lambda: store.get("a"), lambda: list(store.list(""))):
            with pytest.raises(errors.StoreFailed, match="there is no bucket nowhere at 127") as caught:
                call()
            assert "--create" in caught.value.hint
