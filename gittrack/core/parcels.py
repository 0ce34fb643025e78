"""Files that are kept with a run: what their journal lines must have, and where they stand in the record tree.

docs/format.md §3 and §4 in code. Paths come from training scripts and from other people's records: what is no path
below a directory is no file of a run, and what git would refuse in a tree stays out of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gittrack.core import layout, pointer

GIT, STORE = "git", "store"
LFS = "lfs"  # of a start event's `store`
LINK = "120000"
MODES = ("100644", "100755", LINK)
BLOBS, PARCELS = "blobs", "parcels"

_NAME = re.compile(r"\d{13}-\d{1,10}-[0-9a-f]{4}\Z", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_LARGEST = 2**62
_DEEPEST = 200  # directories in each other, in a tree: git stops at 2,048, and every reader goes down by recursion
_LONGEST_PATH, _LONGEST_PART, _LONGEST_LINK = 4095, 255, 4095
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")

# What file systems take for `.git`: HFS+ passes over these characters, NTFS has short names and `\` between names.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_OF_GIT = re.compile(r"(?:^|\\)(?:\.git|gi[^\\]{0,6}~[0-9])", re.IGNORECASE)


class File(NamedTuple):
    """A file of the record tree. `data` is None where its bytes are those of `blobs/<sha256>`."""

    path: str
    mode: int
    sha256: str
    size: int
    data: bytes | None


class Parcels:
    """The parcels of one run, as far as they are folded: their numbers, and which lines say something new."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._open: dict[str, set[str]] = {}  # paths of the parcels that are not kept whole yet
        self._whole: set[str] = set()  # those of them that are since this cut: all that it covers counts
        self._empty: set[str] = set()  # whole ones without a file, and so without a number

    def take(self, event: Mapping[str, Any]) -> bool:
        """Whether a `kept` or `parcel` line says what no line before it said."""
        name = event["parcel"]
        if name not in self._open and (name in self._numbers or name in self._empty):
            return False
        paths = self._open.setdefault(name, set())
        if event["e"] == "parcel":
            new = name not in self._whole
            self._whole.add(name)
            return new
        if not paths and name not in self._numbers:
            self._numbers[name] = len(self._numbers)
        new = path_of(event) not in paths
        paths.add(path_of(event))
        return new

    def number(self, name: str) -> int:
        return self._numbers[name]

    def end_cut(self) -> None:
        for name in self._whole:
            del self._open[name]
            if name not in self._numbers:
                self._empty.add(name)
        self._whole.clear()


def file_of(event: Mapping[str, Any], number: int, lfs: bool) -> File | None:
    """What a `kept` line puts into the record tree, if anything. `number` is its parcel's."""
    path, mode = path_of(event), event["mode"]
    if not fits_git(path):
        return None
    where = layout.file_path(number, path)
    if event["in"] == GIT:
        too_long = mode == LINK and event["size"] > _LONGEST_LINK
        return None if too_long else File(where, int(mode, 8), event["sha256"], event["size"], None)
    if not lfs:
        return None
    plain = MODES[0] if mode == LINK else mode
    return File(where, int(plain, 8), event["sha256"], event["size"], pointer.encode(event["sha256"], event["size"]))


def is_name(text: Any) -> bool:
    """Whether `text` names a parcel."""
    return isinstance(text, str) and _NAME.match(text) is not None


def is_sha256(text: Any) -> bool:
    return isinstance(text, str) and _SHA256.match(text) is not None


def is_path(value: Any) -> bool:
    """Whether `value` is a path that leads to a place below the directory it is joined to."""
    try:
        encoded = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    parts = encoded.split(b"/")
    return (
        isinstance(value, (str, bytes))
        and len(encoded) <= _LONGEST_PATH
        and b"\0" not in encoded
        and all(len(part) <= _LONGEST_PART and part not in (b"", b".", b"..") for part in parts)
    )


def fits_git(path: str) -> bool:
    """Whether git takes a file with this path in a tree: nothing that any system would check out as `.git`, and none of
    git's own files, whose content it examines."""
    parts = path.split("/")
    return len(parts) <= _DEEPEST and not any(_OF_GIT.search(_IGNORED.sub("", part)) for part in parts)


def path_of(event: Mapping[str, Any]) -> str:
    """The path that a line gives; bytes that are not UTF-8 as lone surrogates, as Python has them in file names."""
    path = event["path"]
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else str(path)


def parcel_of(event: Mapping[str, Any]) -> str | None:
    """The parcel that a checkpoint names, if it has files."""
    name = event.get("parcel")
    return name if is_name(name) else None


def is_artifact(event: Mapping[str, Any]) -> bool:
    kind, name, step = event.get("kind"), event.get("name"), event.get("s")
    named = isinstance(name, (str, bytes)) and bool(name) and isinstance(kind, str) and _KIND.match(kind) is not None
    return named and is_name(event.get("parcel")) and (step is None or type(step) is int)


def is_kept(event: Mapping[str, Any]) -> bool:
    known = event.get("in") in (GIT, STORE) and event.get("mode") in MODES and is_name(event.get("parcel"))
    return known and is_path(event.get("path")) and is_sha256(event.get("sha256")) and _is_size(event.get("size"))


def is_parcel(event: Mapping[str, Any]) -> bool:
    return is_name(event.get("parcel")) and _is_size(event.get("files")) and _is_size(event.get("size"))


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST
