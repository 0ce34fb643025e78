"""What a push has to do: which refs of the remote go where. Pure: decided from what is here and what is there.

Refs are only made or moved forward there. All that is taken away is the ref of a run that stands in an archive which is
there, or gets there by the same push.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gittrack.core import layout
from gittrack.core.annotations import Tombstones
from gittrack.git.repository import RefChange

_NONE = Tombstones()
LIVE, PURGED, DELETED, OTHER, DIVERGED = "live", "purged", "deleted", "other", "diverged"


class Run(NamedTuple):
    """A run that has a ref here and is to be there. `code`: its snapshot, when there is a ref of it here."""

    id: str
    tip: str
    code: str | None


class Archived(NamedTuple):
    """A run of an archive of ours that still has a ref there. `code`: its snapshot, when the archive has it."""

    id: str
    tip: str
    code: str | None


class There(NamedTuple):
    """The remote: its refs, and the runs (id -> tip) in lists of it that are not here."""

    refs: Mapping[str, str]
    listed: Mapping[str, str] = {}


class Left(NamedTuple):
    """A run or ref that is not pushed, and why."""

    what: str
    why: str


class Plan(NamedTuple):
    """In the order in which it is done. `runs` are the ids among the changes."""

    runs: tuple[str, ...] = ()
    changes: tuple[RefChange, ...] = ()  # code, then records of runs
    archives: tuple[RefChange, ...] = ()  # records, code, lists of archives; then deletions of refs of their runs
    logs: tuple[RefChange, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def every(self) -> tuple[RefChange, ...]:
        return (*self.changes, *self.archives, *self.logs)


def plan(
    here: Mapping[str, str],
    there: There,
    runs: Sequence[Run],
    refs: Collection[str],
    forward: Collection[str],
    archived: Sequence[Archived] = (),
    graves: Tombstones = _NONE,
    code: bool = True,
) -> Plan:
    """`refs`: logs and archives to be pushed. `forward`: refs whose commit there is among the ancestors of ours."""
    left: list[Left] = []
    going: list[str] = []
    records: list[RefChange] = []
    codes: dict[str, RefChange] = {}
    for run in runs:
        ref = layout.run_ref(run.id)
        at = there.refs.get(ref)
        why = _why_not(run, at, there, forward, graves)
        if why:
            left.append(Left(run.id, why))
            continue
        listed = at is None and there.listed.get(run.id) == run.tip
        if at != run.tip and not listed:
            records.append(RefChange(ref, at, run.tip))
            going.append(run.id)
        if code and run.code and not listed and not graves.forbid(layout.code_ref(run.code), run.code):
            name = layout.code_ref(run.code)
            if name not in there.refs:
                codes[name] = RefChange(name, None, run.code)
    moved, stuck = _moved(here, there, sorted(refs, key=_order), forward, code)
    gone = _deletions(there, archived, [*here, *(change.ref for change in records)], codes)
    return Plan(
        tuple(going),
        (*codes.values(), *records),
        (*(change for change in moved if change.ref.startswith(layout.ARCHIVE)), *gone),
        tuple(change for change in moved if change.ref.startswith(layout.LOG)),
        (*left, *stuck),
    )


def _why_not(run: Run, at: str | None, there: There, forward: Collection[str], graves: Tombstones) -> str:
    """Why a run stays here; empty when it may go, or is there."""
    ref = layout.run_ref(run.id)
    if graves.forbid(ref, run.tip):
        return PURGED
    if at == run.tip or (at is None and there.listed.get(run.id, run.tip) == run.tip) or ref in forward:
        return ""
    return OTHER


def _moved(
    here: Mapping[str, str], there: There, refs: Sequence[str], forward: Collection[str], code: bool
) -> tuple[list[RefChange], list[Left]]:
    """The changes of logs and archives, and those that stand elsewhere there."""
    changes, left = [], []
    for ref in refs:
        at, archive = there.refs.get(ref), layout.archive_of_ref(ref)
        if at == here[ref] or (archive and archive[2] == "code" and not code):
            continue
        if at is None or ref in forward:
            changes.append(RefChange(ref, at, here[ref]))
        else:
            left.append(Left(ref, DIVERGED))
    return changes, left


def _deletions(
    there: There, archived: Sequence[Archived], held: Collection[str], coming: Mapping[str, RefChange]
) -> list[RefChange]:
    """Refs of runs that the archives have as they stand there, and of code that no other run here or there needs."""
    needed = {*held, *coming}
    gone = [run for run in archived if there.refs.get(layout.run_ref(run.id)) == run.tip]
    runs = [RefChange(layout.run_ref(run.id), run.tip, None) for run in gone]
    names = {layout.code_ref(run.code): run.code for run in gone if run.code}
    codes = [
        RefChange(ref, oid, None) for ref, oid in names.items() if there.refs.get(ref) == oid and ref not in needed
    ]
    return [*runs, *codes]


def _order(ref: str) -> tuple[int, str]:
    """Of an archive records, code, list: a list is there when all that it names is."""
    parts = layout.archive_of_ref(ref)
    return (("records", "code", "list").index(parts[2]) if parts else 3), ref


def batches(changes: Sequence[RefChange], most: int) -> list[list[RefChange]]:
    """In pieces of at most `most`."""
    return [list(changes[at : at + most]) for at in range(0, len(changes), max(1, most))]
