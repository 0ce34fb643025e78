"""Which runs automatic archiving moves: the older ones of those that this clone recorded, when there are many."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from gittrack.core import annotations, codec
from gittrack.git.repository import Repository
from gittrack.runs import live, logs, operations, writer
from gittrack.runs.archiving import ENDED, loose

COMMAND = "archive of older runs" + operations.BY_ITSELF  # in the log of operations
BACKGROUND = 200  # runs with refs from which on they are archived without a push


class Candidate(NamedTuple):
    """A finished run of this clone that has a ref."""

    id: str
    created: str  # as run.json says it: such texts sort as the times do


def due(repo: Repository, limit: int | None, least: int = 0) -> list[str]:
    """The runs to archive now, the oldest first. `limit`: the setting `archive`; `least`: fewer runs stay as they are.

    Raises DamagedRecord, NewerFormat of a log of annotations.
    """
    tips = loose(repo)
    me = writer.known(repo.paths)
    if limit is None or me is None or len(tips) <= max(limit, least - 1):
        return []
    found = _candidates(repo, tips, {me, *writer.left(repo.paths)})
    return choose(found, limit, least, annotations.kept_loose(logs.operations(repo)))


def choose(found: Iterable[Candidate], limit: int, least: int, left_alone: Collection[str]) -> list[str]:
    """Of more than `limit` (and at least `least`) runs, all but the newest half of `limit`. Pure."""
    there: Sequence[Candidate] = [one for one in found if one.id not in left_alone]
    if len(there) <= limit or len(there) < least:
        return []
    by_age = sorted(there, key=lambda one: (one.created, one.id))
    return [one.id for one in by_age[: len(by_age) - limit // 2]]


def _candidates(repo: Repository, tips: dict[str, str], mine: Collection[str]) -> list[Candidate]:
    going = set(live.ids(repo.paths))
    found: list[Candidate] = []
    files = repo.read_files(list(tips.values()), ("run.json", "status.json"))
    for run_id, (run, status) in zip(tips, files, strict=True):
        try:
            facts, how = codec.loads(run or b""), codec.loads(status or b"")
            if facts.get("writer") in mine and how.get("status") in ENDED and run_id not in going:
                found.append(Candidate(run_id, str(facts.get("created"))))
        except (ValueError, TypeError, AttributeError):  # damaged: doctor says it
            continue
    return found
