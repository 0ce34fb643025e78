"""Start, log and finish a run in one process, many times: what a sweep over something cheap pays for each."""

import json
import os
import pickle
import time
from collections.abc import Iterator

from benchmarks.harness import Line, in_turns, process
from benchmarks.scene import Scene, program
from gittrack.git.discover import discover
from gittrack.git.objects import parse_commit, parse_tree
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository

RUNS = 200  # at a time; five times make the thousand
TURNS = 5

Objects = list[tuple[str, bytes]]


def measure(scene: Scene) -> Iterator[Line]:
    repo = scene.repository("session")
    bare = scene.repository("session-floor")
    known: set[str] = set()
    seen: set[str] = set()
    batch = os.path.join(scene.root, "objects.pickle")

    def ours() -> float:
        sample = process(program("short_runs.py", str(RUNS)), repo, scene.env)
        ended = time.perf_counter()  # the same clock in every process of a machine
        _collect(repo, batch, seen, known)
        return (ended - float(json.loads(sample.output)["begin"])) / RUNS * 1e3

    def floor() -> float:
        sample = process(program("write_objects.py", batch), bare, scene.env)
        return float(json.loads(sample.output)["seconds"]) / RUNS * 1e3

    took, least = in_turns(TURNS, ours, floor, discard=0)
    yield Line(
        "session", "start, log ten points, finish: a run in-process, 1,000 times, each",
        "pygit2 writing the same objects and refs with fsync on", least, took, "ms", 3.0,
    )  # fmt: skip


def _collect(repo: str, batch: str, seen: set[str], known: set[str]) -> None:
    """Save what the new runs put into the repository, for the floor to write again."""
    repository = open_repository(discover(repo, {}), {})
    try:
        refs = repository.refs("refs/track/")
        new = {ref: tip for ref, tip in refs.items() if ref not in seen}
        runs = [(ref, tip, _objects_of(repository, tip, known)) for ref, tip in new.items()]
    finally:
        repository.close()
    seen.update(refs)
    recorded = sum(ref.startswith("refs/track/runs/") for ref in new)
    if recorded != RUNS:
        raise ValueError(f"{recorded} runs are on refs, not {RUNS}")
    with open(batch, "wb") as file:
        pickle.dump(runs, file)


def _objects_of(repository: Repository, tip: str, known: set[str]) -> Objects:
    """The objects behind `tip` that no earlier run brought, in an order in which they can be written."""
    if tip in known:
        return []
    known.add(tip)
    kind, data = repository.read(tip)
    found: Objects = []
    if kind == "commit":
        commit = parse_commit(data)
        for below in (*commit.parents, commit.tree):
            found += _objects_of(repository, below, known)
    elif kind == "tree":
        for entry in parse_tree(data).values():
            found += _objects_of(repository, entry.oid, known)
    return [*found, (kind, data)]
