"""Finished runs with files in the store of the clone, without processes: what a test of stores begins with."""

import contextlib
import os
from collections.abc import Mapping

import builder

from gittrack.git.repository import Repository
from gittrack.runs import live
from gittrack.store.content import Content
from gittrack.store.local import open_local


def content(repo: Repository) -> Content:
    return open_local(live.track_dir(repo.paths))


def parcel(number: int, step: int) -> str:
    return f"{1_700_000_000_000 + 1000 * number + step:013d}-{number + 1}-{step:04x}"


def run(
    repo: Repository,
    number: int,
    checkpoints: Mapping[int, Mapping[str, bytes]],
    losses: Mapping[int, float] | None = None,
    logged: Mapping[str, bytes] | None = None,
    **facts: object,
) -> str:
    """A run whose checkpoints (by step) have these files, all of them in the store. Returns its id."""
    more: list[dict[str, object]] = []
    w = builder.T0 + 60 * number + 1
    for step, files in checkpoints.items():
        name, loss = parcel(number, step), (losses or {}).get(step)
        values = {} if loss is None else {"loss": loss}
        primary = {} if loss is None else {"primary": ["loss", "minimize"]}
        more.append({"e": "checkpoint", "m": values, "parcel": name, **primary, "s": step, "t": 1, "w": w})
        more += _kept(repo, name, files, w)
    for at, (path, data) in enumerate((logged or {}).items()):
        name = parcel(number, 4096 + at)
        more.append({"e": "artifact", "kind": "file", "name": path, "parcel": name, "s": None, "t": 1, "w": w})
        more += _kept(repo, name, {path: data}, w)
    builder.write_runs(repo, [builder.journal(number, {}, [], more=more, **facts)])
    return builder.run_id(number)


def _kept(repo: Repository, name: str, files: Mapping[str, bytes], w: float) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    for path, data in files.items():
        kept = content(repo).put_bytes(data)
        lines.append({"e": "kept", "in": "store", "mode": "100644", "parcel": name, "path": path,
                      "sha256": kept.sha256, "size": kept.size, "t": 1, "w": w})  # fmt: skip
    size = sum(map(len, files.values()))
    return [*lines, {"e": "parcel", "files": len(files), "left_out": [], "parcel": name, "size": size, "t": 1, "w": w}]


def age(repo: Repository, seconds: float) -> None:
    """Make everything in the store that much older."""
    for folder, _, names in os.walk(content(repo).store.url.removeprefix("file://")):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                path = os.path.join(folder, name)
                then = os.stat(path).st_mtime - seconds
                os.utime(path, (then, then))
