"""Ten thousand checkpoints of one run must cost twice what five thousand do: nothing that grows is rewritten."""

import os
import random
import shutil
from collections.abc import Iterator

from benchmarks import population
from benchmarks.harness import Line, Spread, in_turns, process
from benchmarks.scene import Scene, program, size

POINTS_BETWEEN = 10
AT_ONCE = 10  # checkpoints that one look at the journal finds
MB = 1024 * 1024


def measure(scene: Scene) -> Iterator[Line]:
    growth: dict[int, list[float]] = {5_000: [], 10_000: []}
    journals = {count: _journal(scene, count) for count in growth}

    def fold(count: int) -> float:
        repo = scene.repository("checkpoints")
        before = size(os.path.join(repo, ".git"))
        sample = process(program("fold_run.py", journals[count], str(count // AT_ONCE)), repo, scene.env)
        shutil.rmtree(os.path.join(repo, ".git", "track"), ignore_errors=True)
        growth[count].append((size(os.path.join(repo, ".git")) - before) / MB)
        return sample.wall

    half, whole = in_turns(3, lambda: fold(5_000), lambda: fold(10_000), discard=0)
    bytes_half, bytes_whole = (Spread(tuple(taken)) for taken in growth.values())
    work, floor = "10,000 checkpoints of one run, ten points between two", "5,000 checkpoints"
    yield Line("checkpoints/time", f"{work}: fold and commit", floor, half, whole, "s", 2.0)
    yield Line("checkpoints/growth", f"{work}: growth of the repository", floor, bytes_half, bytes_whole, "MB", 2.0)


def _journal(scene: Scene, count: int) -> str:
    path = os.path.join(scene.folder(f"checkpoints-{count}"), "run.jsonl")
    chance = random.Random(count)
    with open(path, "wb") as file:
        file.write(population.start("0" * 20, population.START, None, {"lr": 0.1}))
        for number in range(count):
            for step in range(number * POINTS_BETWEEN, (number + 1) * POINTS_BETWEEN):
                file.write(population.metrics(chance, step, step * 0.1, population.START))
            file.write(population.checkpoint(chance, step, step * 0.1, population.START))
    return path
