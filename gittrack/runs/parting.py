"""Two clones that write under one id part: this one takes a new id, and takes along what only it has said or archived.

It happens where a whole disk was copied, or an old state of one came back: nothing in the clone tells, but a remote has
a log under our id that says what we never said, or an archive of ours that has not gone on from what we know. Logs are
never merged; operations keep their ids, so that nothing that was said is lost, and nothing counts twice. Archives go
under the new id as they are: a run may stand in several.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType

from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations, logs, segments, writer
from gittrack.runs.annotations import Author

_NONE: Mapping[str, str] = MappingProxyType({})


def is_ours(repo: Repository, ref: str) -> bool:
    """Whether `ref` is the log that this clone writes."""
    known = writer.known(repo.paths)
    return known is not None and ref == layout.log_ref(known)


def has_archived(repo: Repository, ref: str) -> bool:
    """Whether `ref` is of an archive that this clone writes, or wrote under an earlier id."""
    name = layout.archive_of_ref(ref)
    return name is not None and name[0] in (*writer.left(repo.paths), writer.known(repo.paths))


def part(repo: Repository, theirs: str | None, author: Author, archives: Mapping[str, str] = _NONE) -> str:
    """Leave our log, and these archives of ours, to those who write them, too: the log goes to `theirs`, a commit that
    is here (None: nobody else has one), the archives' refs to the commits that are given. We go on under a new id,
    which is given back. One operation; killed half way it is found, and done, again.

    Raises CannotWrite, RefConflict, DamagedRecord.
    """
    old, new = writer.writer_id(repo.paths), os.urandom(8).hex()

    def prepare() -> list[RefChange]:
        tip = logs.tips(repo).get(old)
        changes = _archives_under(repo, new, archives)
        rest = _only_ours(repo, tip, theirs) if tip else []
        if rest:
            count = f"{len(rest)} annotation{'s' * (len(rest) != 1)}"
            commit = annotations.extend(repo, None, b"".join(rest), author, f"{count} of {old}, said in this clone")
            changes.append(RefChange(layout.log_ref(new), None, commit))
        return changes if tip == theirs else [*changes, RefChange(layout.log_ref(old), tip, theirs)]

    annotations.attempt(repo, prepare, author)
    return writer.renew(repo.paths, new)


def _archives_under(repo: Repository, new: str, theirs: Mapping[str, str]) -> list[RefChange]:
    """Our copies of these archives get names of the writer `new`, and theirs the names that they have at the remote."""
    here = repo.refs(layout.ARCHIVE)
    found: list[RefChange] = []
    for number, prefix in enumerate(sorted({ref.rpartition("/")[0] for ref in theirs})):
        ours = {ref: oid for ref, oid in here.items() if ref.startswith(f"{prefix}/")}
        renamed = {layout.archive_ref(new, number, ref.rpartition("/")[2]): oid for ref, oid in ours.items()}
        found += [RefChange(ref, None, oid) for ref, oid in renamed.items()]
        both = {**dict.fromkeys(ours), **{ref: oid for ref, oid in theirs.items() if ref.startswith(f"{prefix}/")}}
        found += [RefChange(ref, ours.get(ref), oid) for ref, oid in both.items() if ours.get(ref) != oid]
    return found


def _only_ours(repo: Repository, tip: str, theirs: str | None) -> list[bytes]:
    """The lines of our log that are not in theirs, as they stand: also those that a newer version wrote."""
    ours, others = (
        b"".join(segments.read(repo, at, logs.ROOT)).splitlines(keepends=True) if at else [] for at in (tip, theirs)
    )
    known = set(others)
    return [line for line in ours if line not in known]
