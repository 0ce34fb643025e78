"""What a checkout would do to the files of a folder, decided before anything is written.

A record may come from anybody, so the paths in it are claims: one that leads out of the folder, into `.git`, or through
a link that the same record has planted is refused here by name, whatever the file system would have made of it.
"""

import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

NEW, SAME, DIFFERS, IN_THE_WAY, REFUSED = "new", "same", "differs", "in the way", "refused"
ABSENT, FILE, LINK, FOLDER, OTHER = "absent", "file", "link", "folder", "other"
CODE, ARTIFACT = "code", "artifact"

FILE_MODE, EXECUTABLE_MODE, LINK_MODE = "100644", "100755", "120000"
LISTED = 8  # files that a message names
LONGEST_NAME = 255  # bytes of one part of a path, on every file system that this runs on
LONGEST_PATH = 4095
LONGEST_LINK = 4096
STAGING = ".gittrack-"  # begins the names of the folders in which files are made

_DRIVE = re.compile(r"[A-Za-z]:")
_STAGING = re.compile(rf"{re.escape(STAGING)}[0-9]+-[0-9a-f]{{8}}\Z")
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")  # HFS+ takes a name for the same without them


class Item(NamedTuple):
    """One file to be restored. `path` is below the folder, its parts joined by "/"; not UTF-8 is surrogate-escaped."""

    path: str
    mode: str
    origin: str  # CODE or ARTIFACT
    size: int | None = None  # None: git's filters decide
    link: str | None = None  # where a link leads; None: not known, or no link
    number: int = 0  # which of its origin's files it is


class Seen(NamedTuple):
    """What is at the place of an item. `blocker`: the part of its path that is there and is no folder."""

    kind: str
    same: bool = False
    blocker: str = ""


class Verdict(NamedTuple):
    """What becomes of one item, and for IN_THE_WAY and REFUSED why."""

    item: Item
    state: str
    reason: str = ""


class Plan(NamedTuple):
    """All verdicts, in the order of the items."""

    verdicts: Sequence[Verdict]

    def of(self, *states: str) -> list[Verdict]:
        return [one for one in self.verdicts if one.state in states]

    @property
    def size(self) -> int:
        """Bytes to be written, as far as it is known."""
        return sum(one.item.size or 0 for one in self.of(NEW, DIFFERS))


def decide(items: Iterable[Item], see: Callable[[Item], Seen], folds_case: bool, room: int = LONGEST_PATH) -> Plan:
    """A verdict on each item. Of two that cannot both be there, the first one stays. `folds_case`: whether the file
    system takes `A` and `a` for one name; `room`: bytes that are left for a path below the folder."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    verdicts = []
    for item in items:
        reason = problem(item.path, room) or _link_problem(item) or _clash(item.path, files, folders, folds_case)
        if reason:
            verdicts.append(Verdict(item, REFUSED, reason))
            continue
        files[_key(item.path, folds_case)] = item.path
        folders.update({_key(parent, folds_case): item.path for parent in parents(item.path)})
        verdicts.append(_judged(item, see(item)))
    return Plan(verdicts)


def _judged(item: Item, seen: Seen) -> Verdict:
    if seen.blocker:
        return Verdict(item, IN_THE_WAY, f"{seen.blocker} is there and is no folder of its own")
    if seen.kind in (FOLDER, OTHER):
        what = "a folder" if seen.kind == FOLDER else "no ordinary file"
        return Verdict(item, IN_THE_WAY, f"what is there is {what}")
    return Verdict(item, NEW if seen.kind == ABSENT else SAME if seen.same else DIFFERS)


def is_staging(name: str) -> bool:
    """Whether a checkout may have given this name to a folder of its own."""
    return _STAGING.match(name) is not None


def problem(path: str, room: int = LONGEST_PATH) -> str | None:
    """Why no file may be put at `path` below a folder; None when it may."""
    if "\0" in path:
        return "its path has a NUL in it"
    if path.startswith("/") or _DRIVE.match(path):
        return "its path is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "its path leads out of the folder"
    if "" in parts or "." in parts:
        return "its path is not in its plain form"
    if any(map(_is_git, parts)):
        return "its path leads into .git"
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in parts):
        return f"its path has a name of more than {LONGEST_NAME} bytes"
    if len(os.fsencode(path)) > room:
        return "its path is too long for this folder"
    if any(map(is_staging, parts)):
        return "its path is one that checkouts clean up"
    return None


def _is_git(part: str) -> bool:
    """`.git` as any file system may spell it: in other cases, with marks that macOS ignores, as Windows shortens it."""
    plain = _IGNORED.sub("", part).casefold().partition(":")[0].rstrip(". ")
    return plain in (".git", "git~1")


def _link_problem(item: Item) -> str | None:
    """Links among artifacts stay in the folder. Those of the code are what git itself would check out."""
    if item.mode != LINK_MODE or item.origin == CODE:
        return None
    target = item.link
    if target is None or not target or "\0" in target or len(target) > LONGEST_LINK:
        return "it is a link that cannot be read"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    # `..` after a name would be taken from wherever that name, perhaps itself a link, leads to.
    outside = target.startswith("/") or up > item.path.count("/") or ".." in parts[up:]
    if outside or any(map(_is_git, parts)):
        return f"it is a link that leads {'into .git' if not outside else 'out of the folder'}, to {target}"
    return None


def _clash(path: str, files: dict[str, str], folders: dict[str, str], folds_case: bool) -> str | None:
    key = _key(path, folds_case)
    if key in files:
        return f"its path is taken by {files[key]}"
    if key in folders:
        return f"{folders[key]} needs a folder of that name"
    above = next((files[found] for parent in parents(path) if (found := _key(parent, folds_case)) in files), None)
    return f"{above} is no folder" if above else None


def parents(path: str) -> list[str]:
    """The folders on the way to `path`, the outermost first: a, a/b of a/b/c."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _key(path: str, folds_case: bool) -> str:
    return unicodedata.normalize("NFC", path).casefold() if folds_case else path


def chosen(items: Sequence[Item], prefix: str, wanted: Sequence[str]) -> tuple[list[Item], list[str]]:
    """Those of `items` that one of `wanted` names (a file, or a folder with all in it), and the names without any.

    `prefix`: where artifacts are put, below the folder; they answer to their own name, too.
    """
    if not wanted:
        return list(items), []
    plain = {posixpath.normpath(name) for name in wanted}
    hit: set[str] = set()
    kept = []
    for item in items:
        names = [item.path]
        if item.origin == ARTIFACT and prefix:
            names.append(item.path.removeprefix(prefix + "/"))
        found = plain.intersection(part for name in names for part in (".", name, *parents(name)))
        hit |= found
        if found:
            kept.append(item)
    return kept, [name for name in wanted if posixpath.normpath(name) not in hit]


def few(texts: Sequence[str]) -> str:
    """The first ones as lines of a message, and how many more there are."""
    more = len(texts) - LISTED
    return "\n".join([f"  {text}" for text in texts[:LISTED]] + ([f"  and {more} more"] if more > 0 else []))
