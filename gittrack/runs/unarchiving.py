"""Giving archived runs refs of their own again: their commits are written back as they were, so nothing differs.

The archive keeps what it has. Automatic archiving leaves such a run alone from then on.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import annotations, codec, layout
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import annotations as saying
from gittrack.runs import archives, logs
from gittrack.runs.annotations import Author, Saying

_TRIES = 5
_NOT_FETCHED = "its record is not in this clone (`git track pull --records`)"


class Result(NamedTuple):
    """The runs that have refs again, and why others were left as they are."""

    done: list[str]
    left: dict[str, str]


def unarchive(repo: Repository, ids: Iterable[str], author: Author) -> Result:
    """Give these runs refs, all in one operation. Raises CannotWrite, RefConflict, DamagedRecord."""
    wanted = list(dict.fromkeys(ids))
    for _ in range(_TRIES - 1):
        with contextlib.suppress(errors.RefConflict):  # somebody else did the same: it is looked at again
            return _once(repo, wanted, author)
    return _once(repo, wanted, author)


def _once(repo: Repository, ids: Sequence[str], author: Author) -> Result:
    result, changes = _prepare(repo, ids)
    if result.done:
        sayings = to_be_left(repo, result.done)
        saying.attempt(repo, lambda: _with(repo, changes, sayings, author), author)
    return result


def write_back(repo: Repository, ids: Iterable[str]) -> dict[str, str]:
    """Write the commits of archived runs back; they may be there still. Id -> tip of those that records here have."""
    found = archives.all_commits(repo, ids)
    repo.write([commit for commits in found.values() for commit in commits], durable=True)
    return {run_id: commits[-1].oid for run_id, commits in found.items()}


def have(repo: Repository, back: Sequence[RefChange]) -> list[str]:
    """See to it that the commits are here that an undo makes refs of again; gives the runs that come out of archives.
    Raises MissingContent."""
    found = [change for change in back if change.old is None and change.new is not None]
    archived = write_back(repo, [run_id for one in found if (run_id := layout.id_of_ref(one.ref))])
    for one in found:
        if one.new and not repo.exists(one.new) and not archives.restore_code(repo, one.new):
            raise errors.MissingContent(
                f"{one.ref} cannot go back to {one.new}: that commit is not in this clone", "run `git track doctor`"
            )
    return list(archived)


def _prepare(repo: Repository, ids: Sequence[str]) -> tuple[Result, list[RefChange]]:
    refs = repo.refs("refs/track/")
    tombstones = logs.tombstones(repo)
    result, changes = Result([], {}), dict[str, RefChange]()
    loose = {run_id for run_id in ids if layout.run_ref(run_id) in refs}
    tips = write_back(repo, [one for one in ids if one not in loose and one not in tombstones.runs])
    for run_id in ids:
        ref = layout.run_ref(run_id)
        if run_id in loose:
            result.left[run_id] = "it is not archived"
        elif run_id in tombstones.runs:
            result.left[run_id] = "it was purged"
        elif run_id not in tips:
            found = archives.find(repo, run_id)
            result.left[run_id] = _NOT_FETCHED if found else "there is no such run here"
        else:
            code = _code(repo, tips[run_id])
            if code and layout.code_ref(code) not in refs:
                changes[layout.code_ref(code)] = RefChange(layout.code_ref(code), None, code)
            changes[ref] = RefChange(ref, None, tips[run_id])
            result.done.append(run_id)
    return result, list(changes.values())


def _code(repo: Repository, tip: str) -> str | None:
    """The snapshot that the run names, when it is or can be put into the repository."""
    facts: Any = codec.loads(repo.read_path(tip, "run.json") or b"{}")
    code = facts.get("snapshot")
    return code if isinstance(code, str) and archives.restore_code(repo, code) else None


def to_be_left(repo: Repository, ids: Sequence[str]) -> list[Saying]:
    """That automatic archiving is to leave them alone, where nobody has said that yet."""
    said = annotations.kept_loose(logs.operations(repo)) if ids else set()
    return [Saying(run_id, "archived", False) for run_id in ids if run_id not in said]


def _with(repo: Repository, changes: Sequence[RefChange], sayings: Sequence[Saying], author: Author) -> list[RefChange]:
    return [*changes, *([saying.append(repo, sayings, author)[0]] if sayings else [])]
