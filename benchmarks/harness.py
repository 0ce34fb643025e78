"""How things are timed here: always against a floor, taken in turns with it, on the same machine in the same minutes.

Machines are noisy and differ; the ratio of two medians of A B A B… says more than any figure alone. What runs in
turns sees the same noise, the same caches and the same clock speed.
"""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

RATIO, DIFFERENCE, LIMIT = "ratio", "difference", "limit"


class Spread(NamedTuple):
    """What was measured, in the order of measuring."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


class Line(NamedTuple):
    """One line of the table."""

    key: str  # topic, or topic/variant: what reasons.json calls it
    work: str
    floor: str  # what the floor is, in words
    floor_took: Spread | None  # None: the target is a limit, not a ratio
    ours: Spread
    unit: str
    target: float
    kind: str = RATIO  # ours ÷ floor, ours − floor, or ours alone must be at most `target`
    note: str = ""

    @property
    def figure(self) -> float:
        """What is compared with the target."""
        if self.floor_took is None:
            return self.ours.median
        if self.kind == DIFFERENCE:
            return self.ours.median - self.floor_took.median
        return self.ours.median / self.floor_took.median

    @property
    def reached(self) -> bool:
        return self.figure <= self.target


class Sample(NamedTuple):
    """One process, from before it was made until it was reaped."""

    wall: float
    cpu: float
    output: bytes


class Failed(Exception):
    """A measured command did not do its work, so its time says nothing."""


def process(argv: Sequence[str], cwd: str, env: Mapping[str, str], stdin: str = os.devnull) -> Sample:
    """Run a command with its output in a pipe that is read to the end, as in `git track ls | cat`. Raises Failed."""
    with open(stdin, "rb") as given, tempfile.TemporaryFile() as complaints:
        start = time.perf_counter()
        child = subprocess.Popen(argv, cwd=cwd, env=env, stdin=given, stdout=subprocess.PIPE, stderr=complaints)
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)  # not wait(): the usage of this child alone
        wall = time.perf_counter() - start
        child.stdout.close()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            complaints.seek(0)
            text = complaints.read().decode(errors="replace")
            raise Failed(f"{' '.join(argv)} exited {child.returncode}: {text[-2000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, output)


def in_turns(repeats: int, *works: Callable[[], float], discard: int = 1) -> list[Spread]:
    """What the works return, called in turns `repeats` times, after `discard` rounds that only warm the caches."""
    figures: list[list[float]] = [[] for _ in works]
    for turn in range(-discard, repeats):
        for work, taken in zip(works, figures, strict=True):
            figure = work()
            if turn >= 0:
                taken.append(figure)
    return [Spread(tuple(taken)) for taken in figures]


def clocked(work: Callable[[], object]) -> float:
    """The seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
