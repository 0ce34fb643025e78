"""Stores on other machines, and the wrappers around all stores, keep the contract: on real servers."""

import os

import pytest
import servers
from contract import StoreContract

from gittrack import errors
from gittrack.store import open as opening
from gittrack.store.directory import DirectoryStore
from gittrack.store.limit import LimitStore
from gittrack.store.memory import MemoryStore
from gittrack.store.mirror import MirrorStore
from gittrack.store.retry import RetryStore
from gittrack.store.verify import VerifyStore


class TestS3(StoreContract):
    @pytest.fixture
    def store(self, s3, bucket):
        return opening.open_store(s3.url(bucket), s3.environ)


class TestS3BelowAPrefix(StoreContract):
    @pytest.fixture
    def store(self, s3, bucket):
        other = opening.open_store(s3.url(f"{bucket}/another"), s3.environ)
        other.put("things/ab/" + "ab" * 32, b"of somebody else")
        return opening.open_store(s3.url(f"{bucket}/some/where"), s3.environ)


@pytest.fixture(scope="module")
def azure(tmp_path_factory):
    with servers.azurite(tmp_path_factory.mktemp("azure")) as server:
        yield server


class TestAzure(StoreContract):
    """In the emulator that Microsoft gives out."""

    @pytest.fixture
    def store(self, azure):
        name = "c" + os.urandom(8).hex()
        azure.create(name)
        return opening.open_store(azure.url(name), azure.environ)


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with servers.google(tmp_path_factory.mktemp("google")) as server:
        yield server


class TestGoogle(StoreContract):
    """Its requests, signed for a service account, to a server that is not Google's."""

    @pytest.fixture
    def store(self, google, monkeypatch):
        for name, value in google.environ.items():
            monkeypatch.setenv(name, value)
        return opening.open_store(google.url(f"models/{os.urandom(8).hex()}"), google.environ)


def test_where_a_bucket_cannot_be_made_from_here_its_maker_is_named(azure, google, monkeypatch) -> None:
    for name, value in google.environ.items():
        monkeypatch.setenv(name, value)
    for url, environ, said in (
        (
            azure.url("nobody-made-it"),
            azure.environ,
            "az storage container create --name nobody-made-it --account-name",
        ),
        (google.url("nobody-made-it"), google.environ, "gcloud storage buckets create gs://nobody-made-it"),
    ):
        for call in (lambda url, environ: opening.open_store(url, environ).put("a", b"1"), opening.create):
            with pytest.raises(errors.StoreFailed) as caught:
                call(url, environ)
            assert said in caught.value.hint and "ACCOUNT" not in caught.value.hint
            assert "--create" not in caught.value.hint


class TestFileAddress(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return opening.open_store((tmp_path / "a store").as_uri(), {})


class TestMemoryAddress(StoreContract):
    @pytest.fixture
    def store(self):
        return opening.open_store("memory://" + os.urandom(8).hex(), {})


class TestRetry(StoreContract):
    @pytest.fixture
    def store(self):
        return RetryStore(MemoryStore())


class TestLimit(StoreContract):
    @pytest.fixture
    def store(self):
        return LimitStore(MemoryStore(), 10**9)


class TestVerify(StoreContract):
    @pytest.fixture
    def store(self):
        return VerifyStore(MemoryStore())


class TestVerifyWithReadingBack(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return VerifyStore(DirectoryStore(str(tmp_path / "store")), read_back=True)


class TestMirror(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return MirrorStore([DirectoryStore(str(tmp_path / "store")), MemoryStore()])


def test_one_name_in_memory_is_one_store() -> None:
    name = "memory://" + os.urandom(8).hex()
    opening.open_store(name, {}).put("a", b"1")
    assert opening.open_store(name, {}).get("a") == b"1"
