"""sha256 of large files that a snapshot leaves out, remembered by file identity: hashing 1 GB takes a second or more.

A file that changed a moment ago is not remembered: a further change within the same tick would look like no change.
"""

import contextlib
import hashlib
import json
import os
import time

_BLOCK = 1 << 20
_SETTLED_SECONDS = 2.0
_KEPT = 1000


class Digests:
    """sha256 by absolute path, backed by a file that may be missing, damaged or lost at any time."""

    def __init__(self, file: str, kept: int = _KEPT) -> None:
        self.file = file
        self._kept = kept
        self._known = _load(file)
        self._changed = False

    def cost(self, path: str) -> int:
        """Bytes that `get` would have to read."""
        try:
            now = os.stat(path, follow_symlinks=False)
        except OSError:
            return 0
        return 0 if self._remembered(path, now) else now.st_size

    def get(self, path: str) -> str | None:
        """The digest of the file as it is, or None when it cannot be read or changes meanwhile."""
        try:
            before = os.stat(path, follow_symlinks=False)
            remembered = self._remembered(path, before)
            if remembered:
                return remembered
            digest = _read(path)
            after = os.stat(path, follow_symlinks=False)
        except OSError:
            return None
        if _identity(before) != _identity(after):
            return None
        if time.time() - after.st_mtime > _SETTLED_SECONDS:
            self._known.pop(path, None)
            self._known[path] = [*_identity(after), digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write back what is new. A cache: failing to is no failure."""
        if not self._changed:
            return
        kept = dict(list(self._known.items())[-self._kept :])
        temporary = f"{self.file}.{os.getpid()}"
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self.file), exist_ok=True)
            with open(temporary, "w", encoding="ascii") as file:
                json.dump(kept, file)
            os.replace(temporary, self.file)

    def _remembered(self, path: str, now: os.stat_result) -> str | None:
        entry = self._known.get(path)
        return str(entry[-1]) if entry and entry[:-1] == _identity(now) else None


def _identity(found: os.stat_result) -> list[int]:
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _read(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _load(file: str) -> dict[str, list[int | str]]:
    try:
        with open(file, encoding="ascii") as opened:
            known = json.load(opened)
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {path: entry for path, entry in known.items() if isinstance(entry, list) and len(entry) == 6}
