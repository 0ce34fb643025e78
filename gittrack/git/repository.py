"""What the layers above may ask of a repository, and what each answer promises.

There are two implementations (pygit2, and the git executable for repositories that libgit2 cannot open); one suite of
tests, tests/git/test_contract.py, holds both to these promises. Open one with `open.open_repository`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from gittrack.git.command import Git
from gittrack.git.discover import Paths
from gittrack.git.objects import Object
from gittrack.git.pack import Bases


class RefChange(NamedTuple):
    """`old` None: the ref must not exist. `new` None: the ref is deleted."""

    ref: str
    old: str | None
    new: str | None


class Repository(Protocol):
    """Belongs to one thread at a time. Opening is cheap: a second thread opens its own."""

    @property
    def paths(self) -> Paths: ...

    @property
    def git(self) -> Git: ...

    @property
    def algorithm(self) -> str:
        """sha1 or sha256: what objects.* must be told."""
        ...

    def read(self, oid: str) -> tuple[str, bytes]:
        """(kind, data). Raises KeyError when there is no such object, DamagedRecord when it does not decode."""
        ...

    def read_path(self, commit: str, path: str) -> bytes | None:
        """The file at `path` in the tree of `commit` (or in that tree, when given a tree); None when there is none.

        Raises DamagedRecord when an object on the way is missing or does not decode.
        """
        ...

    def read_many(self, specs: Iterable[str]) -> Iterator[bytes | None]:
        """The data of each `oid`, or file at `oid:path`, in order. For thousands of them.

        None for each that is not there or does not decode: one damaged record does not hide the others. `read` says
        what is wrong with it.
        """
        ...

    def read_files(self, commits: Sequence[str], paths: Sequence[str]) -> Iterator[tuple[bytes | None, ...]]:
        """For each commit the files at `paths`, None as above. The fast way to read many small records."""
        ...

    def exists(self, oid: str) -> bool:
        """Whether there is such an object. For this and all above, ValueError for what is not a whole oid."""
        ...

    def write(self, objects: Sequence[Object], durable: bool = False, bases: Bases | None = None) -> None:
        """Put objects into the repository. May be given what is there already, and may be called again.

        When it returns, all of them can be read by every process. Killed at any point it leaves whole objects or
        nothing, so the caller writes in any order but moves refs afterwards. `bases` may say of an object which earlier
        version of the same thing stands before it in `objects`: where many are written, it takes less space.
        `durable`: they are flushed to disk, and so is all that this Repository wrote before. Raises CannotWrite.
        """
        ...

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Name -> oid of every ref that begins with `prefix`, sorted by name. Symbolic refs are left out."""
        ...

    def update_refs(self, changes: Sequence[RefChange], durable: bool = False) -> None:
        """Compare and swap, all or nothing: RefConflict (nothing changed) when any ref is not at its `old`.

        Every ref is locked before the first is compared, so of concurrent writers exactly one wins. Refs then move in
        the given order (deletions last): a process killed in between, or a disk full in between (CannotWrite), has
        moved the first ones, so code comes before the record that names it. A ref that somebody else holds locked is
        tried again for a second; a lock that a killed gittrack left is removed.
        """
        ...

    def close(self) -> None:
        """Ends what was opened. May be called twice."""
        ...
