"""A run of a million points: how long its fold takes, how much memory, and what the repository grows by."""

import json
import os
from collections.abc import Iterator

from benchmarks import population
from benchmarks.harness import LIMIT, Line, Spread, in_turns, process
from benchmarks.scene import Scene, program, size

POINTS = 1_000_000
CUTS = 20
MB = 1024 * 1024


def measure(scene: Scene) -> Iterator[Line]:
    journal = os.path.join(scene.folder("journal"), "run.jsonl")
    head = population.start("0" * 20, population.START, None, {"lr": 0.1})
    population.write(journal, head)
    population.append_points(journal, 0, POINTS)
    zipped = os.path.join(scene.root, "points.gz")
    memory: list[float] = []
    growth: list[float] = []

    def gzip() -> float:
        return process(["sh", "-c", f"gzip -6 < {journal} > {zipped}"], scene.root, scene.env).wall

    def fold() -> float:
        repo = scene.repository("fold")
        before = size(os.path.join(repo, ".git"))
        sample = process(program("fold_run.py", journal, str(CUTS)), repo, scene.env)
        memory.append(json.loads(sample.output)["memory"] / MB)
        growth.append((size(os.path.join(repo, ".git")) - before) / MB)
        return sample.wall

    floor, took = in_turns(3, gzip, fold, discard=0)
    packed = Spread((os.path.getsize(zipped) / MB,))
    points = f"a run of 1,000,000 points of five metrics, in {CUTS} cuts"
    yield Line("fold/time", f"{points}: fold and commit", "`gzip -6` of the same lines", floor, took, "s", 3.0)
    yield Line("fold/memory", f"{points}: most memory", "", None, Spread(tuple(memory)), "MB", 200.0, LIMIT)
    grown = Spread(tuple(growth))
    yield Line("fold/growth", f"{points}: growth of the repository", "their gzipped size", packed, grown, "MB", 1.2)
