"""What a snapshot is decided by, what it will hold, what it holds: plain values, so that a plan can be printed."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

Found = frozenset[tuple[str, bytes]]  # (name of the rule, the secret)


def _accept(_path: str) -> str | None:
    return None


def _find_nothing(_path: str, _content: bytes) -> Found:
    return frozenset()


def _no_text(_content: bytes) -> bytes:
    return b""


class Rules(Protocol):
    """What may go into a snapshot. git knows no settings and no secret rules: they come in as values and functions.

    Only what would have to be added is judged. What HEAD already has, however large, costs nothing. Two that are equal
    must judge alike. `Policy` has the defaults.
    """

    @property
    def max_file(self) -> int: ...
    @property
    def max_total(self) -> int: ...
    @property
    def max_files(self) -> int: ...
    @property
    def max_digest(self) -> int: ...
    @property
    def include(self) -> tuple[str, ...]: ...
    @property
    def exclude(self) -> tuple[str, ...]: ...
    def refuse_path(self, path: str, /) -> str | None: ...
    def find_secrets(self, path: str, content: bytes, /) -> Found: ...
    def as_text(self, content: bytes, /) -> bytes: ...


class Policy(NamedTuple):
    """`Rules` as plain values."""

    max_file: int = 10_000_000  # bytes of one file
    max_total: int = 200_000_000  # bytes of all untracked files together
    max_files: int = 50_000  # untracked files
    max_digest: int = 1_000_000_000  # bytes to hash, all left-out files of a snapshot together
    include: tuple[str, ...] = ()  # patterns of ignored files that are wanted, as far as there are any
    exclude: tuple[str, ...] = ()  # patterns of files that are not wanted
    refuse_path: Callable[[str], str | None] = _accept  # an untracked path -> why it is left out
    find_secrets: Callable[[str, bytes], Found] = _find_nothing  # path, content
    as_text: Callable[[bytes], bytes] = _no_text  # content with zeros in it -> what is text in it all the same


class Entry(NamedTuple):
    """One path in which the snapshot will differ from HEAD."""

    path: str
    kind: str  # modified, added, deleted, untracked, ignored, conflicted, submodule
    size: int
    stamp: tuple[int, ...] | None = None  # lstat when it was decided; None where nothing is read
    hashed: bool = True  # False: the index has it already


LARGER = "larger than"  # how the reason begins where it is the size


class LeftOut(NamedTuple):
    """One file, or one directory as a whole, that is not in the snapshot in its present form."""

    path: str
    size: int | None
    reason: str
    sha256: str | None = None
    include: bool = True  # whether `--include PATH` puts it in


class Plan(NamedTuple):
    """What `take` would do. `key` is equal for two plans of the same work."""

    base: str | None
    branch: str | None
    state: str | None
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    unmatched: tuple[str, ...]  # of `include`: what fits no file
    resets: tuple[tuple[str, str, str], ...]  # (mode, oid, path) to set in the index copy first
    digests: frozenset[str]  # paths of `left_out` whose sha256 is wanted
    key: tuple[object, ...]
    policy: Rules
    include: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that would be read and added, before compression."""
        return sum(entry.size for entry in self.entries if entry.hashed)


class Snapshot(NamedTuple):
    """`oid` is HEAD itself when the tree is the same. `untracked` are the captured paths that git does not track."""

    oid: str | None
    base: str | None
    state: str | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    modified: tuple[str, ...]
    untracked: tuple[str, ...]
    branch: str | None = None
