"""The archived runs of this clone whose records are here: those that can be read without asking anybody.

Whoever deletes bytes asks for all of them. A list says fast which runs of its own archive kept files; what it does not
speak of is looked for in the trees. A run that only a list names needs nothing here, since this clone never had its
record; but a run that this clone recorded is always to be here.
"""

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

from gittrack import errors
from gittrack.core import archive, layout
from gittrack.git.repository import Repository
from gittrack.runs import archive_trees, archives, writer

_FILES = b'"artifacts"'  # in the summary of a run that kept files; a line without it has none
_HEAD = re.compile(rb'\{"code":(?:null|"[0-9a-f]+"),"cuts":\d+,"format":\d+,"id":"([0-9a-f]{20})",')


class Held(NamedTuple):
    """An archived run."""

    id: str
    tip: str
    root: str  # its tree


def with_files(repo: Repository) -> Iterator[Held]:
    """Those that kept files, and perhaps some that did not; a run may come twice.

    Raises DamagedRecord, NewerFormat where it cannot be known, or where a run is not here that this clone recorded.
    """
    records = archives.tips(repo, archives.RECORDS)
    told: dict[str, set[str]] = {}
    for ref, tip in archives.lists(repo).items():
        told[_sibling(ref)] = yield from _of_list(repo, ref, tip)
    for ref, tip in {**records, **repo.refs(layout.KEPT)}.items():
        for run_id in set(_ids(repo, ref, tip)) - told.get(ref, set()):
            place = archives.find(repo, run_id)
            if place is not None and place.root != place.tip:  # one with a ref is known by that
                yield Held(run_id, *place)


def _of_list(repo: Repository, ref: str, tip: str) -> Generator[Held, None, set[str]]:
    """Gives the ids of all runs that are told of."""
    known: set[str] = set()
    mine = {*writer.left(repo.paths), writer.known(repo.paths)}
    for data in archives.list_segments(repo, tip):
        without, others = _parted(data)
        known |= without
        for line in archive.lines(others):
            known.add(line.id)
            if repo.exists(line.tree):
                yield Held(line.id, line.tip, line.tree)
            elif line.values[0].get("writer") in mine:
                raise errors.DamagedRecord(
                    f"the record of run {line.id}, which this clone made and {ref} lists, is not here",
                    "git track pull --records",
                )
    return known


def _sibling(ref: str) -> str:
    """The records of the archive that has this list."""
    return ref.rpartition("/")[0] + f"/{archives.RECORDS}"


def _ids(repo: Repository, ref: str, tip: str) -> list[str]:
    try:
        return archive_trees.run_ids(repo, tip)
    except (KeyError, ValueError) as error:
        raise errors.DamagedRecord(f"{ref} cannot be read: {error!r}", "run `git track doctor`") from error


def _parted(data: bytes) -> tuple[set[str], bytes]:
    """The ids of runs without files, which need not be parsed, and the other lines of a segment."""
    without: set[str] = set()
    others: list[bytes] = []
    for text in data.split(b"\n")[:-1]:
        head = _HEAD.match(text) if _FILES not in text else None
        if head:
            without.add(head[1].decode())
        else:
            others.append(text + b"\n")
    return without, b"".join(others)
