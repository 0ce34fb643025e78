"""The stores of this machine keep the contract."""

import pytest
from contract import StoreContract

from gittrack.store.directory import DirectoryStore
from gittrack.store.memory import MemoryStore


class TestDirectory(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return DirectoryStore(str(tmp_path / "store"))


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()
