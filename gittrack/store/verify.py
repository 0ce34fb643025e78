"""A store that looks at what it is given back: a chunk whose bytes are not those of its name is not passed on.

With `read_back`, what was put is read again before it counts as kept: for stores that nobody trusts.
"""

import hashlib

from gittrack import errors
from gittrack.store.base import Bytes, Store
from gittrack.store.content import CHUNKS, FILES
from gittrack.store.wrapper import WrapperStore


class VerifyStore(WrapperStore):
    """Names of other objects say nothing about their bytes: these pass as they are."""

    def __init__(self, store: Store, read_back: bool = False) -> None:
        super().__init__(store)
        self._read_back = read_back

    def put(self, key: str, data: Bytes) -> None:
        self._store.put(key, data)
        # Of another key, somebody else may have replaced the bytes by now.
        if self._read_back and key.startswith((CHUNKS, FILES)) and self._store.get(key) != data:
            raise damaged(key, self.url)

    def get(self, key: str) -> bytes:
        data = self._store.get(key)
        if not is_right(key, data):
            raise damaged(key, self.url)
        return data


def is_right(key: str, data: Bytes) -> bool:
    """Whether the bytes are those that the key names, as far as it does."""
    name = key.rpartition("/")[2]
    return not (key.startswith(CHUNKS) and len(name) == 64) or hashlib.sha256(data).hexdigest() == name


def damaged(key: str, url: str) -> errors.CorruptContent:
    return errors.CorruptContent(
        f"{key} in {url} is damaged: its bytes are not those of its name",
        "run `git track store verify --repair`: it puts good bytes there, from this clone or another store",
    )
