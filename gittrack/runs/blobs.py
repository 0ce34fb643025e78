"""Small files of a live run on their way into its record: from `blobs/` to the tree of the commit that holds them.

A file leaves `blobs/` when a ref names the commit that has it. Whoever keeps the next file with the same content may
have seen it there a moment before, and not have written it again: then the bytes are taken from the record itself.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable

from gittrack.core import parcels
from gittrack.git.objects import DIRECTORY, Entry
from gittrack.git.trees import TreeEditor
from gittrack.runs import live


class Blobs:
    """`blobs/` of one live folder, and where in the record's tree its files have gone."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._places: dict[bytes, str] = {}  # digest -> where the content came into the tree last

    def read(self, file: parcels.File) -> bytes | None:
        """The bytes of a file; None when they are not there, or not what they should be."""
        path = live.blob(self._directory, file.sha256)
        if not os.path.isfile(path) or os.stat(path).st_size != file.size:
            return None
        with open(path, "rb") as opened:
            data = opened.read()
        return data if hashlib.sha256(data).hexdigest() == file.sha256 else None

    def note(self, file: parcels.File) -> None:
        """`file` stands in the tree."""
        if file.data is None:
            self._places[bytes.fromhex(file.sha256)] = file.path

    def earlier(self, sha256: str, tree: TreeEditor) -> Entry | None:
        """The entry of an earlier file with this content."""
        path = self._places.get(bytes.fromhex(sha256))
        entry = tree.get(path) if path is not None else None
        return None if entry is None or entry.mode == DIRECTORY else entry  # a hand has written `a` and then `a/b`

    def left(self) -> list[str]:
        """The digests of what is there and has been seen before."""
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir(os.path.join(self._directory, parcels.BLOBS))
            return [name for name in names if parcels.is_sha256(name) and bytes.fromhex(name) in self._places]
        return []

    def remove(self, digests: Iterable[str], tree: TreeEditor) -> None:
        """Remove those files that `tree`, which is on the ref, holds."""
        for sha256 in digests:
            if self.earlier(sha256, tree) is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(live.blob(self._directory, sha256))
