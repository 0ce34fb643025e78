"""The code of runs that are archived: which of it the archive has to take, and which refs nobody needs any more."""

import re
from collections.abc import Collection, Sequence

from gittrack.core import layout
from gittrack.git import objects, snapshot
from gittrack.git.objects import Object
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, live
from gittrack.runs.archive_plan import Run, loose

_SNAPSHOT = re.compile(rb'"snapshot":"([0-9a-f]{40,64})"')


def lacking(repo: Repository, runs: Sequence[Run]) -> tuple[list[Object], list[str]]:
    """(snapshots that gittrack made, commits of users) of these runs, as far as they are here and in no archive."""
    ours: list[Object] = []
    users: list[str] = []
    trees = list(archives.tips(repo, archives.CODE).values())
    for oid in dict.fromkeys(run.code for run in runs if run.code):
        if not repo.exists(oid) or any(repo.read_path(tip, f"{layout.archived_code(oid)}/commit") for tip in trees):
            continue
        kind, data = repo.read(oid)
        if kind != "commit":
            continue
        read = objects.parse_commit(data)
        if read.author == snapshot.AUTHOR:
            ours.append(Object(oid, kind, data))
            users += [parent for parent in read.parents if repo.exists(parent)]
        else:
            users.append(oid)
    return ours, users


def idle(repo: Repository, runs: Sequence[Run]) -> list[RefChange]:
    """Deletions of the code refs that only these runs needed."""
    codes = {layout.code_ref(run.code): run.code for run in runs if run.code}
    refs = repo.refs(layout.CODE) if codes else {}
    here = {ref: code for ref, code in codes.items() if refs.get(ref) == code}
    if not here:
        return []
    gone = {run.id for run in runs}
    others = [tip for run_id, tip in loose(repo).items() if run_id not in gone]
    needed = _needed(repo, others, set(here.values()))
    return [RefChange(ref, code, None) for ref, code in here.items() if code not in needed]


def _needed(repo: Repository, others: Sequence[str], codes: Collection[str]) -> set[str]:
    """Those of `codes` that a run that goes on now says its snapshot is, or one of these others that have refs."""
    found: set[str] = set()
    for run_id in live.ids(repo.paths):
        head = live.head(live.folder(repo.paths, run_id))
        run = head[1].get("run") if head else None
        if isinstance(run, dict) and run.get("snapshot") in codes:
            found.add(run["snapshot"])
    for (facts,) in repo.read_files(others, ("run.json",)):
        if len(found) == len(codes):  # mostly soon: of code that is in use, another run is near
            break
        found.update(oid for one in _SNAPSHOT.findall(facts or b"") if (oid := one.decode()) in codes)
    return found
