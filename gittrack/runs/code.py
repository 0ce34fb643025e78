"""The code of a run, as a commit to work with: where it is, and what to say where it is not."""

import contextlib
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.git import merging, objects
from gittrack.git.merging import Merged
from gittrack.git.repository import Repository
from gittrack.runs import archives, fetching


class Code(NamedTuple):
    """`base` is the commit that HEAD stood at, `snapshot` the work tree as it was then; the same where it was clean."""

    run: str
    base: str | None
    snapshot: str
    left_out: tuple[str, ...]  # files that were not kept

    @property
    def is_clean(self) -> bool:
        return self.base == self.snapshot

    @property
    def short(self) -> str:
        return self.run[: layout.SHORT]


def of(repo: Repository, record: Record) -> Code:
    """The code of a run. Raises RunNotFound where none was kept, GitFailed where it is not in this clone."""
    short = record.id[: layout.SHORT]
    snapshot, base = record.facts.get("snapshot"), record.facts.get("base")
    if not isinstance(snapshot, str) or not objects.is_oid(snapshot):
        hint = "runs keep their code unless they are started with --no-snapshot"
        raise errors.RunNotFound(f"no snapshot was kept of run {short}", hint)
    archives.restore_code(repo, snapshot)
    with contextlib.suppress(errors.MissingContent, errors.RemoteFailed):  # said below, with what is missing
        fetching.snapshot(repo, record.id, snapshot)
    for oid in (snapshot, base) if base else (snapshot,):
        if not repo.exists(oid):
            raise errors.GitFailed(
                f"the code of run {short} is not in this clone: commit {oid} is missing",
                "`git fetch --unshallow` brings what a shallow clone lacks",
            )
    left = tuple(str(one.get("path")) for one in record.facts.get("left_out") or ())
    return Code(record.id, base, snapshot, left)


def merge(repo: Repository, code: Code, ours: str, label: str) -> Merged:
    """The changes of the run, snapshot against base, brought to the tree `ours`."""
    theirs = merging.tree_of(repo.git, code.snapshot)
    return merging.merge(repo, code.base, ours, theirs, (label, f"run {code.short}"))


def changes(repo: Repository, code: Code) -> list[merging.Change]:
    """What the run had changed, uncommitted."""
    if code.is_clean:
        return []
    return merging.changes(repo.git, code.base or merging.empty_tree(repo), code.snapshot)
