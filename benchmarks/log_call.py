"""What `run.log` costs, against json.dumps and os.write of the same numbers, in one process.

Rounds alternate, so that a busy machine slows both. Prints JSON; `python -m benchmarks log` makes lines of it.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal

CALLS = 100_000
ROUNDS = 20
NAMES = [f"metric{n}" for n in range(10)]

Log = Callable[..., None]


def floor_of_one(fd: int) -> Log:
    def log(metrics: dict[str, float], step: int) -> None:
        os.write(fd, json.dumps(["loss", step, metrics["loss"]]).encode() + b"\n")

    return log


def floor_of_ten(fd: int) -> Log:
    def log(metrics: dict[str, float], step: int) -> None:  # noqa: ARG001 - called as `log` is
        os.write(fd, json.dumps(metrics).encode() + b"\n")

    return log


def one(log: Log, calls: range) -> float:
    begin = time.perf_counter()
    for step in calls:
        log({"loss": 1.0 / (step + 3)}, step=step)
    return time.perf_counter() - begin


def one_that_is_nan(log: Log, calls: range) -> float:
    """A training that has diverged and goes on."""
    nan = float("nan")
    begin = time.perf_counter()
    for step in calls:
        log({"loss": nan}, step=step)
    return time.perf_counter() - begin


def ten(log: Log, calls: range) -> float:
    a, b, c, d, e, f, g, h, i, j = NAMES
    begin = time.perf_counter()
    for step in calls:
        x = 1.0 / (step + 3)
        log({a: x, b: x + 1, c: x + 2, d: x + 3, e: x + 4, f: x + 5, g: x + 6, h: x + 7, i: x + 8, j: x + 9}, step=step)
    return time.perf_counter() - begin


def compare(work: Callable[[Log, range], float], floor: Log, ours: Log) -> dict[str, list[float]]:
    """Microseconds of one call, of each round."""
    per_round = CALLS // ROUNDS
    times: dict[str, list[float]] = {"floor": [], "ours": []}
    for turn in range(ROUNDS):
        calls = range(turn * per_round, (turn + 1) * per_round)
        for name, log in (("floor", floor), ("ours", ours)) if turn % 2 else (("ours", ours), ("floor", floor)):
            times[name].append(work(log, calls) / per_round * 1e6)
    return times


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        fd = os.open(os.path.join(folder, "floor"), flags)
        run = ActiveRun(Journal(folder), "0" * 20, joined=True)
        result = {
            "one": compare(one, floor_of_one(fd), run.log),
            "nan": compare(one_that_is_nan, floor_of_one(fd), run.log),
            "ten": compare(ten, floor_of_ten(fd), run.log),
        }
        run.finish()
        os.close(fd)
    return result


if __name__ == "__main__":
    print(json.dumps(main()))
