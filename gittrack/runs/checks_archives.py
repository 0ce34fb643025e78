"""Checks of archives: their lists are read by every table, their records by whoever looks at a run."""

from collections.abc import Iterator, Sequence

from gittrack import errors
from gittrack.core import archive, layout
from gittrack.git.repository import Repository
from gittrack.runs import archive_trees, archives, documents
from gittrack.runs.findings import ERROR, INFO, OK, WARNING, Finding, Patient, number

SHOWN = 20
UPGRADE = "pip install --upgrade gittrack"


def lists(patient: Patient) -> Iterator[Finding]:
    """Every list decodes, and says what the records say that are here."""
    repo = patient.repo
    for ref in repo.refs(layout.ARCHIVE):
        if layout.archive_of_ref(ref) is None:
            yield Finding(WARNING, f"{ref} is no part of an archive: its name is not one", f"git update-ref -d {ref}")
    records = archives.tips(repo, archives.RECORDS)
    count, whole, bad = 0, 0, list[Finding]()
    for ref, tip in archives.lists(repo).items():
        beside = ref.rpartition("/")[0] + f"/{archives.RECORDS}"
        try:
            here = set(archive_trees.run_ids(repo, records[beside])) if beside in records else None
            for data in archives.list_segments(repo, tip):
                found = [*archive.lines(data)]
                count += len(found)
                whole += here is not None
                bad += [*_unreadable(ref, data, found), *_lines(ref, found)]
                bad += _records(repo, ref, found, here) if here is not None else ()
        except errors.NewerFormat as error:
            bad.append(Finding(ERROR, error.message, UPGRADE))
        except errors.DamagedRecord as error:
            bad.append(Finding(ERROR, error.message, _look(ref)))
        except (KeyError, ValueError) as error:
            bad.append(Finding(ERROR, f"{beside} cannot be read: {error!r}", "git fsck"))
    yield from bad[:SHOWN]
    if len(bad) > SHOWN:
        yield Finding(ERROR, f"… and {len(bad) - SHOWN} more")
    if count:
        away = "" if whole else ", whose records are not in this clone"
        yield Finding(OK, f"{number(count, 'line')} in the lists of archives can be read{away}")


def _unreadable(ref: str, data: bytes, found: Sequence[archive.Line]) -> Iterator[Finding]:
    """Lines that tell of no run."""
    purged = sum(gone for _, _, gone in archive.tips(data))
    wrong = data.count(b"\n") - purged - len(found)
    if wrong or not data.endswith(b"\n"):
        yield Finding(ERROR, f"{max(wrong, 1)} lines of {ref} are damaged", _look(ref))


def _lines(ref: str, found: Sequence[archive.Line]) -> Iterator[Finding]:
    for line in found:
        try:
            documents.row(documents.of_line(line))
        except errors.NewerFormat as error:
            yield Finding(ERROR, error.message, UPGRADE)
        except errors.DamagedRecord as error:
            yield Finding(ERROR, f"{error.message} (listed in {ref})", _look(ref))


def _records(repo: Repository, ref: str, found: Sequence[archive.Line], here: set[str]) -> Iterator[Finding]:
    """What the list says is what the record says."""
    there = [line for line in found if line.id in here]
    if len(there) < len(found):
        yield Finding(INFO, f"without a record beside it: {number(len(found) - len(there), 'run')} of {ref}")
    for line, files in zip(there, repo.read_files([line.tree for line in there], documents.FILES), strict=True):
        if None in files:
            yield Finding(ERROR, f"the record of run {line.id} in {ref} is not whole", "git fsck")
        elif files != line.files:
            yield Finding(ERROR, f"{ref} says of run {line.id} what its record does not say", _look(ref))


def _look(ref: str) -> str:
    return f"git log -p {ref}"
