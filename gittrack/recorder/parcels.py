"""Parcels: the files that one call hands over, copied into the run's folder before the call returns.

A parcel is filled as `parcels/<name>.new` and renamed when it is whole; the journal line that speaks of it comes after.
So whatever is killed, a parcel that has its name holds all its files, and a line never speaks of one that is not there.
Who stores the files later takes them from there (docs/format.md §4).
"""

from __future__ import annotations

import os
from time import time

from .copying import copy, identity, note_too_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDER = "parcels"
_TRIES = 100
_LONGEST = 255  # bytes of a file's name
_SHOWN = 3
_last_ms = 0


class Parcel:
    """A parcel that is being filled: then `seal` or `discard` it."""

    def __init__(self, run_dir: str) -> None:
        """Raises OSError."""
        home = os.path.join(os.fsencode(run_dir), FOLDER.encode())
        os.makedirs(home, exist_ok=True)
        self.name, self._path = _make(home)
        self._ours = _ours(home)
        self._names: set[bytes] = set()
        self._above: set[bytes] = set()
        self._notes: list[tuple[str, str]] = []

    def add(self, given: Iterable[str | os.PathLike[str]]) -> None:
        """Copy files and folders. What cannot be copied is noted; raises OSError when there is no room."""
        sources = [(path, os.path.abspath(path)) for path in map(os.fsencode, given)]
        whole = {source for _, source in sources}
        for path, source in dict.fromkeys(sources):
            if whole.isdisjoint(_ancestors(source)):  # else it comes with its folder
                self._copy(source, self._reserve(name_in_run(path)), os.fsdecode(path))

    def add_as(self, path: str | os.PathLike[str], name: str) -> None:
        """Copy one file or folder under a name of its own. As `add`."""
        self._copy(os.path.abspath(os.fsencode(path)), self._reserve(self._safe(name)), os.fspath(path))

    def file(self, name: str) -> str:
        """Where to write a file that is to be called `name`."""
        return os.fsdecode(self._at(self._reserve(self._safe(name))))

    def drop(self, path: str) -> None:
        """Take back a file that was begun by `file`."""
        try:
            os.unlink(path)
        except OSError:  # it was not begun
            pass

    def note(self, name: str, what: str) -> None:
        """Remember what was wrong with a file."""
        self._notes.append((name, what))

    def notes(self) -> str | None:
        """What was wrong, as one text."""
        if not self._notes:
            return None
        more = len(self._notes) - _SHOWN
        texts = [f"{_printable(name)} {what}" for name, what in self._notes[:_SHOWN]]
        return "; ".join(texts) + (f"; and {more} more such files" if more > 0 else "")

    def is_empty(self) -> bool:
        """Whether there is no file in it."""
        with os.scandir(self._path) as entries:
            return next(entries, None) is None

    def seal(self) -> str:
        """Make it whole, under its name, which is returned. Raises OSError."""
        whole = self._path[: -len(b".new")]
        os.rename(self._path, whole)
        self._path = whole
        return self.name

    def discard(self) -> None:
        """Remove it, sealed or not."""
        doomed = self._path
        if not doomed.endswith(b".new"):
            doomed += b".new"
            try:
                os.rename(self._path, doomed)  # at once: nobody finds half of it
            except OSError:
                return
        _remove(doomed)

    def _safe(self, name: str) -> bytes:
        """`name` as a path in the run; it is noted when that is another one."""
        safe = _safe(name)
        if safe != encoded(name.replace("//", "/").replace("/./", "/").removeprefix("./")):
            self.note(name, f"is kept as {os.fsdecode(safe)}")
        return safe

    def _reserve(self, name: bytes) -> bytes:
        """`name`, or one like it when that is taken in this parcel."""
        stem, extension = os.path.splitext(name)
        free, number = name, 1
        while free in self._names or free in self._above or not self._names.isdisjoint(_ancestors(free)):
            number += 1
            free = b"%s-%d%s" % (stem, number, extension)
            if not self._names.isdisjoint(_ancestors(free)):  # a file stands where its folder would be
                stem = stem.replace(b"/", b"_")
        self._names.add(free)
        self._above.update(_ancestors(free))
        return free

    def _copy(self, source: bytes, name: bytes, called: str) -> None:
        try:
            target = self._at(name)
        except OSError as error:
            return note_too_long(error, called, self.note)
        return copy(source, target, called, self.note, self._ours)

    def _at(self, name: bytes) -> bytes:
        path = self._path + b"/" + name
        if b"/" in name:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


def name_in_run(path: bytes) -> bytes:
    """What a file that was given as `path` is called in the run: the same when it is relative and below the current
    directory, its base name otherwise."""
    normal = os.path.normpath(path)
    if os.path.isabs(normal) or normal == b"." or normal.split(b"/", 1)[0] == b"..":
        return os.path.basename(os.path.abspath(normal)) or b"root"
    return normal


def _safe(name: str) -> bytes:
    """`name` as a relative path with nothing special in it."""
    parts = [part for part in name.replace("\0", "_").split("/") if part not in ("", ".", "..")]
    kept = [raw if len(raw) <= _LONGEST else _cut(raw) for raw in map(encoded, parts)]
    return b"/".join(kept or [b"unnamed"])


def _cut(raw: bytes) -> bytes:
    return raw[:_LONGEST].decode("utf-8", "ignore").encode()


def encoded(name: str) -> bytes:
    """A name as bytes: those that a file's name was made of; of a surrogate that stands for none, `?`."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "replace")


def text_or_bytes(name: bytes) -> str | bytes:
    """A file's name for the journal: text where it is UTF-8."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def _make(home: bytes) -> tuple[str, bytes]:
    for _ in range(_TRIES):
        name = f"{_next_ms():013d}-{os.getpid()}-{os.urandom(2).hex()}"
        path = os.path.join(home, name.encode())
        try:
            os.mkdir(path + b".new")
        except FileExistsError:  # another thread's, of this millisecond
            continue
        if not os.path.lexists(path):
            return name, path + b".new"
        os.rmdir(path + b".new")
    raise FileExistsError(17, "no name is free", os.fsdecode(home))


def _ours(home: bytes) -> list[tuple[int, int]]:
    """Folders that no parcel has in it: the parcels themselves, without end, and the git directory that holds them."""
    common = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(home)))))
    is_git = os.path.exists(os.path.join(common, b"HEAD"))  # else the run's folder was brought from elsewhere
    return [identity(home), *([identity(common)] if is_git else [])]


def _next_ms() -> int:
    """The time, later than the last one said here: parcels of a process are kept in the order they were handed over."""
    global _last_ms
    _last_ms = max(int(time() * 1000), _last_ms + 1)
    return _last_ms


def _ancestors(path: bytes) -> list[bytes]:
    """`a/b` and `a` of `a/b/c`."""
    found: list[bytes] = []
    while True:
        path = path.rpartition(b"/")[0]
        if not path:
            return found
        found.append(path)


def _remove(folder: bytes) -> None:
    """shutil.rmtree costs its import. Nobody else writes here; what resists is left to who closes the run."""
    for root, folders, files in os.walk(folder, topdown=False):
        for inner in folders:
            _quietly(
                os.rmdir if not os.path.islink(os.path.join(root, inner)) else os.unlink, os.path.join(root, inner)
            )
        for inner in files:
            _quietly(os.unlink, os.path.join(root, inner))
    _quietly(os.rmdir, folder)


def _quietly(remove: Callable[[bytes], None], path: bytes) -> None:
    try:
        remove(path)
    except OSError:
        pass


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
