"""Archives made by hand as docs/format.md §10 says: reading them is tested without the code that writes them."""

from collections.abc import Iterable, Sequence
from typing import Any

from gittrack.core import codec, layout
from gittrack.git import objects
from gittrack.git.objects import DIRECTORY, FILE, Entry
from gittrack.git.repository import RefChange, Repository

WRITER = "a" * 16
NAMES = ("run", "status", "params", "summary")


def put(
    repo: Repository,
    ids: Sequence[str],
    writer: str = WRITER,
    number: int = 0,
    *,
    refs: bool = False,
    records: bool = True,
    at_once: int = 1000,
) -> None:
    """Move runs into an archive that has none yet. `refs`: theirs stay; `records`: False where only the list is here;
    `at_once`: runs in a segment of the list."""
    found = {run_id: _commits(repo, repo.refs()[layout.run_ref(run_id)]) for run_id in ids}
    lines = [line(repo, run_id, commits) for run_id, commits in found.items()]
    parts = [b"".join(lines[at : at + at_once]) for at in range(0, len(lines), at_once)]
    write_list(repo, parts, writer, number)
    if records:
        _write(repo, "records", _records(repo, found), writer, number)
        _write(repo, "code", _code(repo, found), writer, number)
    if not refs:
        repo.update_refs([RefChange(layout.run_ref(one), commits[-1].oid, None) for one, commits in found.items()])
        kept = repo.refs(layout.CODE)
        repo.update_refs([RefChange(ref, oid, None) for ref, oid in kept.items()])


def write_list(repo: Repository, parts: Sequence[bytes], writer: str = WRITER, number: int = 0) -> None:
    """A list with these segments."""
    files = {layout.segment_path("index", at, ".jsonl"): part for at, part in enumerate(parts)}
    _write(repo, "list", {path: _blob(repo, data) for path, data in files.items()}, writer, number)


def line(repo: Repository, run_id: str, commits: Sequence[objects.Object], **instead: Any) -> bytes:
    """The line of a run; keyword arguments are fields of it to be said otherwise."""
    tip = commits[-1]
    documents = {name: codec.loads(repo.read_path(tip.oid, f"{name}.json") or b"{}") for name in NAMES}
    fields = {
        "code": documents["run"]["snapshot"], "cuts": len(commits), "format": 2, "id": run_id, "tip": tip.oid,
        "tree": objects.parse_commit(tip.data).tree, **documents, **instead,
    }  # fmt: skip
    return codec.dumps(fields)


def lines(repo: Repository, ids: Iterable[str]) -> list[bytes]:
    """The lines of runs that have refs."""
    return [line(repo, one, _commits(repo, repo.refs()[layout.run_ref(one)])) for one in ids]


def _records(repo: Repository, found: dict[str, list[objects.Object]]) -> dict[str, Entry]:
    entries = {}
    for run_id, commits in found.items():
        data = b"".join(b"commit %d\0%s" % (len(one.data), one.data) for one in commits)
        entries[f"{layout.archived_run(run_id)}/commits"] = _blob(repo, data)
        for number, one in enumerate(commits):
            entries[layout.archived_tree(run_id, number)] = Entry(DIRECTORY, objects.parse_commit(one.data).tree)
    return entries


def _code(repo: Repository, found: dict[str, list[objects.Object]]) -> dict[str, Entry]:
    entries = {}
    for commits in found.values():
        snapshot = codec.loads(repo.read_path(commits[-1].oid, "run.json") or b"{}")["snapshot"]
        if snapshot and repo.exists(snapshot):
            _, data = repo.read(snapshot)
            place = layout.archived_code(snapshot)
            entries[f"{place}/commit"] = _blob(repo, data)
            entries[f"{place}/tree"] = Entry(DIRECTORY, objects.parse_commit(data).tree)
    return entries


def _write(repo: Repository, part: str, entries: dict[str, Entry], writer: str, number: int) -> None:
    ref = layout.archive_ref(writer, number, part)
    old = repo.refs(ref).get(ref)
    trees = objects.nested({"format": _blob(repo, b"gittrack 1\n"), **entries}, repo.algorithm)
    commit = objects.commit(trees[-1].oid, [old] if old else [], "gittrack <>", 0, "Archive", repo.algorithm)
    repo.write([*trees, commit])
    repo.update_refs([RefChange(ref, old, commit.oid)])


def _blob(repo: Repository, data: bytes) -> Entry:
    blob = objects.blob(data, repo.algorithm)
    repo.write([blob])
    return Entry(FILE, blob.oid)


def _commits(repo: Repository, tip: str) -> list[objects.Object]:
    found = []
    here: str | None = tip
    while here:
        _, data = repo.read(here)
        found.append(objects.Object(here, "commit", data))
        here = next(iter(objects.parse_commit(data).parents), None)
    return found[::-1]
