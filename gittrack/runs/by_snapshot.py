"""The runs of a snapshot, by refs alone: for a hook, which must not read 100,000 records into a table for one of them.

Lines of an archive's list begin with the snapshot, so of a hundred megabytes only what is looked for is parsed.
"""

from collections.abc import Collection

from gittrack.core import annotations, layout
from gittrack.git.repository import Repository
from gittrack.runs import archives, documents, logs
from gittrack.runs.row import Row


def rows(repo: Repository, snapshots: Collection[str]) -> list[Row]:
    """As `Index.of_snapshots`: the newest first, without deleted ones. Raises DamagedRecord, NewerFormat."""
    found = {row.id: row for row in (*_archived(repo, snapshots), *_loose(repo, snapshots))}
    gone = annotations.deleted(logs.operations(repo)) if found else set()
    wanted = [row for row in found.values() if row.snapshot in snapshots and row.id not in gone]
    return sorted(wanted, key=lambda row: (row.created or 0.0, row.id), reverse=True)


def _loose(repo: Repository, snapshots: Collection[str]) -> list[Row]:
    tips = {tip: run_id for ref, tip in repo.refs(layout.RUNS).items() if (run_id := layout.id_of_ref(ref))}
    named = [oid.encode() for oid in snapshots]
    facts = zip(tips, repo.read_files(list(tips), ("run.json",)), strict=True)
    some = [tip for tip, (data,) in facts if data and any(oid in data for oid in named)]
    files = zip(some, repo.read_files(some, documents.FILES), strict=True)
    return [documents.indexed(tips[tip], tip, found) for tip, found in files]


def _archived(repo: Repository, snapshots: Collection[str]) -> list[Row]:
    found: list[Row] = []
    for tip in archives.lists(repo).values():
        for data in archives.list_segments(repo, tip):
            for oid in snapshots:
                found += [documents.listed(line) for line in archives.lines_of_segment(_lines(data, oid))]
    return found


def _lines(data: bytes, oid: str) -> bytes:
    """The lines that begin with this snapshot."""
    needle, at, found = b'{"code":"%s"' % oid.encode(), 0, b""
    while (at := data.find(needle, at)) >= 0:
        end = data.find(b"\n", at) + 1 or len(data)
        found += data[at:end] if at == 0 or data[at - 1 : at] == b"\n" else b""
        at = end
    return found
