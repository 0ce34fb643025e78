"""Two clones that write under one id part: this one takes a new id, and takes along what only it has said.

It happens where a whole disk was copied, or an old state of one came back: nothing in the clone tells, but a remote has
a log under our id that says what we never said. Logs are never merged; operations keep their ids, so that nothing that
was said is lost, and nothing counts twice.
"""

import os

from gittrack.core import layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations, logs, segments, writer
from gittrack.runs.annotations import Author


def is_ours(repo: Repository, ref: str) -> bool:
    """Whether `ref` is the log that this clone writes."""
    known = writer.known(repo.paths)
    return known is not None and ref == layout.log_ref(known)


def part(repo: Repository, theirs: str, author: Author) -> str:
    """Leave our log to those who write it, too: it goes to `theirs`, a commit that is here, and we go on under a new
    id, which is given back. One operation; killed half way it is found, and done, again.

    Raises CannotWrite, RefConflict, DamagedRecord.
    """
    old, new = writer.writer_id(repo.paths), os.urandom(8).hex()

    def prepare() -> list[RefChange]:
        tip = logs.tips(repo).get(old)
        back = RefChange(layout.log_ref(old), tip, theirs)
        rest = _only_ours(repo, tip, theirs) if tip else []
        if not rest:
            return [back]
        count = f"{len(rest)} annotation{'s' * (len(rest) != 1)}"
        commit = annotations.extend(repo, None, b"".join(rest), author, f"{count} of {old}, said in this clone")
        return [RefChange(layout.log_ref(new), None, commit), back]

    annotations.attempt(repo, prepare, author)
    return writer.renew(repo.paths, new)


def _only_ours(repo: Repository, tip: str, theirs: str) -> list[bytes]:
    """The lines of our log that are not in theirs, as they stand: also those that a newer version wrote."""
    ours, others = (b"".join(segments.read(repo, at, logs.ROOT)).splitlines(keepends=True) for at in (tip, theirs))
    known = set(others)
    return [line for line in ours if line not in known]
