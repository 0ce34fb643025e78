"""Records written straight through the git layer, as many as a test wants: journals in memory, folded, one pack.

The same bytes that a real run leaves behind, without running anything: ten thousand runs take seconds.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gittrack.core import codec, events, fold, layout
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange, Repository

T0 = 1_767_323_045.0


def opened(path: Path, backend: str = "auto") -> Repository:
    return open_repository(discover(str(path), os.environ), os.environ, backend)


def run_id(number: int) -> str:
    """Random-looking, and the same in every test."""
    return hashlib.sha1(f"run {number}".encode()).hexdigest()[:20]


def start(number: int, **facts: Any) -> dict[str, Any]:
    """A `start` event. Keyword arguments are fields of run.json."""
    w = T0 + 60 * number
    run = {
        "argv": ["python", "train.py"], "base": None, "command": "python train.py", "continues": None,
        "created": codec.format_time(w), "cwd": ".", "experiment": None, "gittrack": "0.1.0", "host": "box",
        "id": run_id(number), "left_out": [], "name": None, "note": None, "notebook": None, "parent": None,
        "snapshot": None, "state": None, "tags": [], "user": {"email": "ann@example.org", "name": "Ann"},
        "writer": "0" * 16, **facts,
    }  # fmt: skip
    return {"e": "start", "run": run, "goals": {"loss": "minimize"}, "t": 0.0, "w": w}


def journal(
    number: int,
    params: Mapping[str, Any],
    losses: Iterable[float],
    *,
    status: str | None = "completed",
    checkpoints: bool = False,
    more: Iterable[Mapping[str, Any]] = (),
    boot: Any = None,
    **facts: Any,
) -> bytes:
    """run.jsonl of one run. `boot` is the `live.Here` on which it ran."""
    first = start(number, **facts)
    w = first["w"]
    where = {"boot": boot.boot, "machine": boot.machine} if boot else {"boot": None}
    lines: list[Mapping[str, Any]] = [{"e": "process", "format": 1, **where, "t": 0, "w": w}, first]
    lines.append({"e": "params", "source": "code", "values": params, "t": 0.1, "w": w + 0.1})
    t = 0.1
    for step, loss in enumerate(losses):
        t = 0.2 + step / 10
        lines.append({"m": {"loss": loss, "val/acc": 1 - loss}, "s": step, "t": t, "w": w + t})
        if checkpoints:
            lines.append(
                {"e": "checkpoint", "m": {"loss": loss}, "primary": ["loss", "minimize"], "s": step, "t": t, "w": w + t}
            )
    lines += more
    if status:
        lines.append(
            {"e": "end", "code": 0, "reason": None, "signal": None, "status": status, "t": t + 1, "w": w + t + 1}
        )
    return b"".join(json.dumps(codec._encode(line), separators=(",", ":")).encode() + b"\n" for line in lines)


def write_runs(repo: Repository, journals: Iterable[bytes], cuts: int = 1) -> list[str]:
    """Fold each journal, write everything, create the refs. With several cuts, the journal is cut in equal parts."""
    made: list[objects.Object] = []
    changes = []
    for data in journals:
        tip, found = _folded(data, repo.algorithm, cuts)
        made += found
        changes.append(RefChange(layout.run_ref(json.loads(data.split(b"\n")[1])["run"]["id"]), None, tip))
    repo.write(objects.unique(made))
    repo.update_refs(changes)
    return [change.ref.rpartition("/")[2] for change in changes]


def make_runs(repo: Repository, count: int, first: int = 0) -> list[str]:
    """Plain finished runs that differ in their parameters and metrics, the oldest first."""
    return write_runs(
        repo,
        (
            journal(
                number,
                {"lr": 0.1 / (1 + number % 7), "batch": 2 ** (number % 5), "seed": number, "optimizer": "adam"},
                [1 / (1 + step + number % 11) for step in range(5)],
                name=f"run-{number}" if number % 3 == 0 else None,
                experiment="sweep" if number % 2 else None,
            )
            for number in range(first, first + count)
        ),
    )


def record(repo: Repository, files: Mapping[str, bytes], ref: str, old: str | None = None) -> str:
    """A commit of exactly these files behind `ref`: for records that no gittrack of today would write."""
    blobs = {path: objects.blob(data, repo.algorithm) for path, data in files.items()}
    entries = {path: objects.Entry(objects.FILE, blob.oid) for path, blob in blobs.items()}
    trees = objects.nested(entries, repo.algorithm)
    commit = objects.commit(
        trees[-1].oid, [old] if old else [], "Ann <ann@example.org>", int(T0), "by hand", repo.algorithm
    )
    repo.write([*blobs.values(), *trees, commit])
    repo.update_refs([RefChange(ref, old, commit.oid)])
    return commit.oid


def files_of(repo: Repository, tip: str) -> dict[str, bytes]:
    """The documents of a record, to be changed and written again with `record`."""
    names = ("format", "run.json", "status.json", "params.json", "summary.json")
    return {name: data for name in names if (data := repo.read_path(tip, name)) is not None}


def _folded(data: bytes, algorithm: str, cuts: int) -> tuple[str, list[objects.Object]]:
    state = fold.Fold()
    files: dict[str, objects.Entry] = {}
    made: list[objects.Object] = []

    def put(path: str, content: bytes) -> None:
        blob = objects.blob(content, algorithm)
        made.append(blob)
        files[path] = objects.Entry(objects.FILE, blob.oid)

    parent: list[str] = []
    ends = [data.rfind(b"\n", 0, len(data) * part // cuts) + 1 for part in range(1, cuts)] + [len(data)]
    for number, end in enumerate(ends):
        reason = "final" if number == cuts - 1 and b'{"e":"end"' in data else "time"
        cut = events.Cut(number, {events.STARTER: end}, reason, None, T0 + 10**6 + number)
        commit = state.advance(cut, lambda _, start, stop: data[start:stop], put)
        trees = objects.nested(files, algorithm)
        done = objects.commit(trees[-1].oid, parent, commit.author, commit.seconds, commit.message, algorithm)
        made += [*trees, done]
        parent = [done.oid]
    return parent[0], made
