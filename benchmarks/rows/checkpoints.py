"""Ten thousand checkpoints of one run must cost twice what five thousand do: nothing that grows is rewritten."""

import json
import os
import random
import shutil
from collections.abc import Iterator

from benchmarks import population
from benchmarks.harness import Line, Spread, in_turns, process
from benchmarks.scene import Scene, program, size

COUNT, SHARE = 10_000, 1_000
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


def measure_last(scene: Scene) -> Iterator[Line]:
    """Files come along: their lines grow with the run, and so would a list of them that is written anew."""
    first = f"its first {SHARE:,}; each a tenth of them"
    repo = scene.repository("checkpoints")
    calls = json.loads(process(program("many_checkpoints.py", str(COUNT)), repo, scene.env).output)
    work = f"the last {SHARE:,} of {COUNT:,} checkpoints of one run, a file each"
    yield _ends("last/blocked", f"{work}: how long the training waits", first, calls)
    journal = _journal(scene, COUNT, files=True)
    argv = program("fold_run.py", journal, str(COUNT // AT_ONCE))
    cuts = json.loads(process(argv, scene.repository("checkpoints"), scene.env).output)["took"]
    yield _ends("last/commit", f"{work}: fold and commit", first, cuts)


def _ends(key: str, work: str, floor: str, took: list[float]) -> Line:
    """Ten sums of each, so that one moment in which the machine did something else does not decide."""
    share = len(took) * SHARE // COUNT
    piece = share // 10
    first, last = (
        Spread(tuple(sum(took[at : at + piece]) for at in range(begin, begin + share, piece)))
        for begin in (0, len(took) - share)
    )
    return Line(key, work, floor, first, last, "s", 1.5)


def _journal(scene: Scene, count: int, files: bool = False) -> str:
    path = os.path.join(scene.folder(f"checkpoints-{count}"), "run.jsonl")
    chance = random.Random(count)
    with open(path, "wb") as file:
        file.write(population.start("0" * 20, population.START, None, {"lr": 0.1}))
        for number in range(count):
            for step in range(number * POINTS_BETWEEN, (number + 1) * POINTS_BETWEEN):
                file.write(population.metrics(chance, step, step * 0.1, population.START))
            parcel = f"{1_760_000_000_000 + number:013d}-1-0000" if files else None
            file.write(population.checkpoint(chance, step, step * 0.1, population.START, parcel))
    return path
