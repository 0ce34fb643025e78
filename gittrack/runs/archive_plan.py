"""Which runs may be archived: read whole, or why not. Changes nothing."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import archive as lines_
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.git import objects
from gittrack.git.objects import Object
from gittrack.git.repository import Repository
from gittrack.runs import archives, documents, live, logs

ENDED = ("completed", "failed", "killed", "crashed")


class Run(NamedTuple):
    """A run that may be archived."""

    id: str
    tip: str
    commits: Sequence[Object]  # the first one first
    number: int  # its format
    values: Mapping[str, Any]  # its documents
    code: str | None

    @property
    def line(self) -> bytes:
        tree, _ = objects.links(self.commits[-1].data)
        return lines_.encode(self.id, self.tip, tree, len(self.commits), self.code, self.number, self.values)


class Plan(NamedTuple):
    runs: list[Run]
    left: dict[str, str]


def loose(repo: Repository) -> dict[str, str]:
    """Id -> tip of every run that has a ref."""
    return {run_id: tip for ref, tip in repo.refs(layout.RUNS).items() if (run_id := layout.id_of_ref(ref))}


def plan(repo: Repository, ids: Iterable[str]) -> Plan:
    """Which of these runs may be archived, read whole; and why not the others."""
    tips = loose(repo)
    tombstones = logs.tombstones(repo)
    left: dict[str, str] = {}
    wanted: list[str] = []
    for run_id in dict.fromkeys(ids):
        if run_id not in tips:
            left[run_id] = "it is archived already" if archives.find(repo, run_id) else "there is no such run here"
        elif os.path.isdir(live.folder(repo.paths, run_id)):
            left[run_id] = "it is still going"
        elif tombstones.forbid(layout.run_ref(run_id), tips[run_id]):
            left[run_id] = "it was purged"
        else:
            wanted.append(run_id)
    found: list[Run] = []
    for run_id, files in zip(wanted, repo.read_files([tips[one] for one in wanted], documents.FILES), strict=True):
        try:
            found.append(_run(repo, run_id, tips[run_id], files))
        except errors.GittrackError as error:
            left[run_id] = error.message
    return Plan(found, left)


def _run(repo: Repository, run_id: str, tip: str, files: Sequence[bytes | None]) -> Run:
    """The run, whose documents and history must be whole. Raises UsageError where it has not ended."""
    record = documents.decode(run_id, tip, files)
    if record.status.get("status") not in ENDED:
        raise errors.UsageError("it has not ended")
    return with_commits(record, files, _history(repo, tip))


def with_commits(record: Record, files: Sequence[bytes | None], commits: Sequence[Object]) -> Run:
    """The run, out of what was read of it."""
    values = dict(zip(lines_.DOCUMENTS, (record.facts, record.status, record.params, record.summary), strict=True))
    code = record.facts.get("snapshot")
    code = code if isinstance(code, str) and objects.is_oid(code) else None
    return Run(record.id, commits[-1].oid, commits, int((files[0] or b"").split()[1]), values, code)


def _history(repo: Repository, tip: str) -> list[Object]:
    """The commits of a run, the first one first."""
    commits: list[Object] = []
    here: str | None = tip
    while here is not None:
        try:
            commits.append(Object(here, *repo.read(here)))
            tree, parents = objects.links(commits[-1].data)
        except (KeyError, ValueError):  # a shallow clone, or no commit of ours
            raise errors.DamagedRecord("its history is not all in this clone") from None
        if len(parents) > 1:
            raise errors.DamagedRecord("its history is not that of a run")
        if not repo.exists(tree):
            raise errors.DamagedRecord("its records are not all in this clone")
        here = parents[0] if parents else None
    return commits[::-1]
