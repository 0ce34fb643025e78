"""Checks of what gittrack has written: records, snapshots, logs, the index, live folders, the log of operations."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from gittrack import errors
from gittrack.core import layout
from gittrack.git.command import failure
from gittrack.git.repository import Repository
from gittrack.runs import away, documents, live, logs, operations, undo_files
from gittrack.runs.findings import ERROR, INFO, OK, WARNING, Finding, Patient, number
from gittrack.runs.index import Index, open_in_memory, open_index
from gittrack.runs.row import Row, encode

UPGRADE = "pip install --upgrade gittrack"
SHOWN = 20  # findings of one kind: more of them say no more


def records(patient: Patient) -> Iterator[Finding]:
    """Every record decodes, and its code is there."""
    repo = patient.repo
    refs = repo.refs(layout.RUNS)
    odd = [ref for ref in refs if layout.id_of_ref(ref) is None]
    runs = {run_id: tip for ref, tip in refs.items() if (run_id := layout.id_of_ref(ref))}
    bad: list[Finding] = [
        Finding(WARNING, f"{ref} is no run: its name is not one", f"git update-ref -d {ref}") for ref in odd
    ]
    rows: list[Row] = []
    files = repo.read_files(list(runs.values()), documents.FILES)
    for (run_id, tip), found in zip(runs.items(), files, strict=True):
        try:
            rows.append(documents.row(documents.decode(run_id, tip, found)))
        except errors.NewerFormat as error:
            bad.append(Finding(ERROR, error.message, UPGRADE))
        except errors.DamagedRecord as error:
            bad.append(Finding(ERROR, error.message, _mend(patient, run_id, tip)))
    bad += _without_code(patient, rows)
    yield from bad[:SHOWN]
    if len(bad) > SHOWN:
        yield Finding(ERROR, f"… and {len(bad) - SHOWN} more")
    yield Finding(OK, f"{len(rows):,} of {number(len(runs), 'record')} whole")


def _mend(patient: Patient, run_id: str, tip: str) -> str:
    """How to get back to the newest commit of the record that is whole."""
    repo, ref = patient.repo, layout.run_ref(run_id)
    result = repo.git.call("rev-list", tip)
    for older in result.out.decode().split()[1:]:
        try:
            documents.row(documents.decode(run_id, older, next(iter(repo.read_files([older], documents.FILES)))))
        except (errors.DamagedRecord, errors.NewerFormat):
            continue
        return f"git update-ref {ref} {older} {tip}   (the last state of the record that is whole)"
    return f"git log {ref}   (no commit of it is whole; to give it up: git update-ref -d {ref} {tip})"


def _reached(repo: Repository, commits: Sequence[str]) -> set[str]:
    """Those of these commits that any ref reaches: a branch, or an archive."""
    if not commits:
        return set()
    result = repo.git.call(
        "rev-list", "--stdin", "--not", "--all", input="".join(f"{one}\n" for one in commits).encode()
    )
    return set(commits) - set(result.out.decode().split()) if result.code == 0 else set()


def _without_code(patient: Patient, rows: list[Row]) -> Iterator[Finding]:
    repo = patient.repo
    kept = set(repo.refs(layout.CODE).values())
    lacking = {row.snapshot for row in rows if row.snapshot} - kept
    for snapshot in sorted(lacking - _reached(repo, [oid for oid in lacking if repo.exists(oid)])):
        ids = [row.id[: layout.SHORT] for row in rows if row.snapshot == snapshot]
        runs = f"run {', '.join(ids[:3])}{', …' if len(ids) > 3 else ''}"
        if repo.exists(snapshot):
            ref = layout.code_ref(snapshot)
            yield Finding(
                WARNING, f"no ref keeps the code of {runs}: a gc may take it", f"git update-ref {ref} {snapshot}"
            )
        else:
            yield Finding(INFO, f"the code of {runs} is not here ({snapshot[:12]})")


def objects(patient: Patient) -> Iterator[Finding]:
    """Everything that our refs reach is there; git walks it."""
    git = patient.repo.git
    args = ("rev-list", "--objects", "--quiet", "--exclude-promisor-objects", "--glob=refs/track")
    result = git.call(*args)
    if result.code == 0:
        yield Finding(OK, "all objects of runs, code and annotations are there")
    else:
        yield Finding(ERROR, failure(args, result.code, result.err, git.paths).message, "git fsck")


def annotations(patient: Patient) -> Iterator[Finding]:
    repo = patient.repo
    tips = logs.tips(repo)
    for ref in repo.refs(layout.LOG):
        if ref[len(layout.LOG) :] not in tips:
            yield Finding(WARNING, f"{ref} is no log: its name is not one", f"git update-ref -d {ref}")
    count = 0
    for writer, tip in tips.items():
        try:
            count += len(logs.change(repo, writer, tip, {}).ops)
        except errors.NewerFormat as error:
            yield Finding(ERROR, error.message, UPGRADE)
        except errors.DamagedRecord as error:
            yield Finding(ERROR, error.message, f"git log {layout.log_ref(writer)}")
    yield Finding(OK, f"{number(count, 'annotation')} in {number(len(tips), 'log')}")


def index(patient: Patient) -> Iterator[Finding]:
    """The table says what one made afresh says; otherwise it is made afresh too."""
    repo = patient.repo
    kept, fresh = open_index(repo.paths), open_in_memory(repo.paths)
    try:
        for table in (kept, fresh):
            table.refresh(lambda: repo)
        if not kept.problem and (damage := kept.check()):
            kept.make_anew(damage)
        if not kept.problem and _content(kept) != _content(fresh):
            kept.make_anew("it said something else than the records")
        if kept.problem:
            yield Finding(WARNING, f"the index was made anew: {kept.problem}")
        yield Finding(OK, f"the index holds {number(kept.count(deleted=True), 'run')}")
    finally:
        kept.close()
        fresh.close()


def _content(table: Index) -> list[list[Any]]:
    """As it is stored, where a NaN equals a NaN; without live runs, which change while one looks."""
    return [encode(row) for row in table.rows(deleted=True) if not row.live]


def live_runs(patient: Patient) -> Iterator[Finding]:
    paths = patient.repo.paths
    here = live.here()
    found: dict[str, list[str]] = {}
    for run_id in sorted(live.ids(paths)):
        found.setdefault(live.state(live.folder(paths, run_id), here), []).append(run_id[: layout.SHORT])
    dead = found.get(live.DEAD, []) + found.get(live.FINAL, []) + found.get(live.EMPTY, [])
    if dead:
        yield Finding(WARNING, f"ended, but not committed yet: {', '.join(dead)}", "git track recover")
    if found.get(live.UNKNOWN):
        ids = ", ".join(found[live.UNKNOWN])
        yield Finding(WARNING, f"silent, and not known here to be dead: {ids}", "git track recover --force")
    for run_id in sorted(live.ids(paths)):
        sent = away.read(live.folder(paths, run_id))
        if sent is not None and sent.shown(time.time()) == away.LOST:
            text, fix = f"no word from {sent.host} of run {run_id[: layout.SHORT]}", f"git track fetch {sent.host}"
            yield Finding(WARNING, text, fix)
    if found.get(live.AWAY):
        yield Finding(OK, f"at a host: {', '.join(found[live.AWAY])}")
    going = len(found.get(live.OPEN, []))
    yield Finding(OK, f"{going:,} {'run is' if going == 1 else 'runs are'} going on")


def operation_log(patient: Patient) -> Iterator[Finding]:
    every = operations.log(patient.repo)
    half = [one for one in every if one.outcome == operations.INTERRUPTED]
    for one in [one for one in half if one.changes or undo_files.has_begun(patient.repo.paths, one)][-SHOWN:]:
        what = f"operation {one.id} (`{operations.describe(one)}`) was interrupted"
        why = "its refs did not all move" if one.changes else "its files are whole, `git track undo` takes it back"
        yield Finding(INFO, f"{what}: {why}", "git track log")
    yield Finding(OK, f"{number(len(every), 'operation')} can be looked back at")
