"""Where the space goes that runs take in a clone."""

import os
from collections import Counter
from typing import Any, NamedTuple

from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import gc, live, needs, placing
from gittrack.runs.own_store import own_store


class OfRun(NamedTuple):
    """The large files of one run that are here. `own`: bytes in the store that no other run needs. `away`: bytes of
    files that are not in this clone."""

    run: str
    files: int
    size: int
    own: int
    away: int = 0


class Usage(NamedTuple):
    """Sizes in bytes. `runs` by what is their own, the most first."""

    runs: list[OfRun]
    files: int  # all files of runs that are here, each counted whole
    store: int
    free: int  # in the store, and not needed
    replaced: int  # files that checkouts have replaced, and an undo would bring back
    live: int  # folders of live runs
    git: int  # objects that only refs of ours reach, as they lie there, packed or loose

    def document(self) -> dict[str, Any]:
        return {**self._asdict(), "runs": [one._asdict() for one in self.runs]}


def of(repo: Repository) -> Usage:
    """Measure it. Raises what `needs.of_clone` raises."""
    content = own_store(repo.paths)
    needed = needs.of_clone(repo)
    sizes = {entry.key: entry.size for entry in gc.objects(content.store)}
    keys = {digest: gc.keys_of(content, [digest]) for digest in needed.digests}
    by_run: dict[str, list[needs.File]] = {}
    for file in needed.files:
        if file[:2] in needed.doubles:
            continue
        by_run.setdefault(file.run, []).append(file)
    of_run = {run: {key for file in files for key in keys[file.sha256]} for run, files in by_run.items()}
    users = Counter(key for found in of_run.values() for key in found)
    runs = []
    for run, files in by_run.items():
        own = sum(sizes.get(key, 0) for key in of_run[run] if users[key] == 1)
        here = [file for file in files if keys[file.sha256]]
        away = sum(file.size for file in files if not keys[file.sha256])
        runs.append(OfRun(run, len(here), sum(file.size for file in here), own, away))
    runs.sort(key=lambda one: (-one.own, -one.size, one.run))
    used = sum(sizes.get(key, 0) for key in users)
    total, whole = sum(sizes.values()), sum(one.size for one in runs)
    replaced = placing.kept_size(repo.paths)
    return Usage(runs, whole, total, total - used, replaced, _folder(live.root(repo.paths)), _git(repo))


def _folder(path: str) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:  # folded, or kept, meanwhile
                continue
    return total


def _git(repo: Repository) -> int:
    """What records and snapshots hold that no branch or tag does."""
    tips = [oid for root in ("refs/track/", layout.KEPT, needs.REMOTES) for oid in repo.refs(root).values()]
    if not tips:
        return 0
    heads = [f"^{oid}" for root in ("refs/heads/", "refs/tags/", "refs/remotes/") for oid in repo.refs(root).values()]
    specs = "\n".join([*tips, *heads]) + "\n"
    result = repo.git.call("rev-list", "--objects", "--disk-usage", "--stdin", input=specs.encode())
    return int(result.out) if result.code == 0 and result.out.strip().isdigit() else 0  # git before 2.31 cannot say
