"""The repository through the git executable: where libgit2 cannot open it (sha256, reftable), or is not installed."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gittrack import errors
from gittrack.git import refnames, refupdate
from gittrack.git.catfile import CatFile, many
from gittrack.git.command import Git
from gittrack.git.discover import Format, Paths
from gittrack.git.objects import Object, whole
from gittrack.git.pack import Bases
from gittrack.git.repository import RefChange
from gittrack.git.writer import Writer

_FRESH = 60.0  # seconds for which packs that were marked as used stay so: a prune spares what is younger than days


class CliRepository:
    """See repository.Repository."""

    def __init__(self, paths: Paths, form: Format, environ: Mapping[str, str]) -> None:
        self.paths = paths
        self.git = Git(paths, environ)
        self.algorithm = form.algorithm
        self._format = form
        self._contents = CatFile(self.git)
        self._names = CatFile(self.git, data=False)
        self._writer = Writer(self.git, self.algorithm, self._packed)
        self._freshened = float("-inf")

    def read(self, oid: str) -> tuple[str, bytes]:
        found = self._contents.ask(whole(oid))
        if found is None:
            raise KeyError(oid)
        return found

    def read_path(self, commit: str, path: str) -> bytes | None:
        found = self._contents.ask(f"{whole(commit)}:{path}")
        if found is not None:
            return found.data if found.kind == "blob" else None
        entry = self.git.call("rev-parse", "--verify", "--quiet", f"{commit}:{path}").out.split()
        if entry and self._names.ask(entry[0].decode()) is None:  # the tree has it, the repository has not
            raise errors.DamagedRecord(f"{path} of {commit} is missing", "run `git fsck`, then `git track doctor`")
        return None

    def read_many(self, specs: Iterable[str]) -> Iterator[bytes | None]:
        asked = list(specs)
        for spec in asked:
            whole(spec.partition(":")[0])
        for spec, found in zip(asked, many(self.git, asked), strict=True):
            yield None if found is None or (":" in spec and found.kind != "blob") else found.data

    def read_files(self, commits: Sequence[str], paths: Sequence[str]) -> Iterator[tuple[bytes | None, ...]]:
        answers = self.read_many(f"{commit}:{path}" for commit in commits for path in paths)
        for _ in commits:
            yield tuple([next(answers) for _ in paths])

    def exists(self, oid: str) -> bool:
        return self._names.ask(whole(oid)) is not None

    def write(self, objects: Sequence[Object], durable: bool = False, bases: Bases | None = None) -> None:
        self._writer.write(objects, durable, bases)

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        return refupdate.listed(self.git, self._format, prefix)

    def update_refs(self, changes: Sequence[RefChange], durable: bool = False) -> None:
        refnames.check(changes)
        for change in changes:
            if change.new is not None and not self.exists(change.new):
                raise refnames.no_object(change)
        refupdate.update(self.git, changes, durable, self.algorithm, self._format)

    def close(self) -> None:
        self._contents.close()
        self._names.close()

    def _packed(self, found: Object) -> bool:
        if self._format.partial or not self.exists(found.oid):  # git would ask the remote for what is not here
            return False
        if time.monotonic() - self._freshened > _FRESH:
            self._freshen_packs()
        return True

    def _freshen_packs(self) -> None:
        """git does not say which pack has an object. Marking all as used keeps what nobody needs two weeks longer."""
        with os.scandir(os.path.join(self.paths.common_dir, "objects", "pack")) as entries:
            for entry in entries:
                if entry.name.endswith(".pack"):
                    _touch(entry.path)
        self._freshened = time.monotonic()


def _touch(path: str) -> None:
    with contextlib.suppress(OSError):  # gone, or of another user, whose prune it then is
        os.utime(path)
