"""`git track ls` in a pipe, 1,000 runs, index up to date: what a person waits for many times a day."""

import os
from collections.abc import Iterator

from benchmarks.harness import Line, in_turns, process
from benchmarks.population import populate
from benchmarks.scene import Scene, program

FLOOR = "typer application of one empty command that imports sqlite3"
RUNS = 1_000


def measure(scene: Scene) -> Iterator[Line]:
    repo = populated(scene, RUNS)

    def bare() -> float:
        return process(program("typer_sqlite3.py"), repo, scene.env).wall * 1e3

    def thirty() -> float:
        return listing(scene, repo, 30) * 1e3

    def thousand() -> float:
        return listing(scene, repo, RUNS, "-n", str(RUNS)) * 1e3

    floor, some, all_ = in_turns(21, bare, thirty, thousand)
    yield Line("ls/30", "`git track ls` (30 rows), 1,000 runs, warm", FLOOR, floor, some, "ms", 1.3)
    yield Line("ls/1000", "`git track ls -n 1000`, 1,000 runs, warm", FLOOR, floor, all_, "ms", 1.6)


def populated(scene: Scene, runs: int) -> str:
    """A repository with that many finished runs: made once, then used by every topic."""
    repo = os.path.join(scene.root, f"runs-{runs}")
    if os.path.isdir(repo):
        return repo
    repo = scene.repository(f"runs-{runs}")
    head = scene.git(repo, "rev-parse", "HEAD").decode().strip()
    populate(repo, scene.env, head, runs)
    return repo


def listing(scene: Scene, repo: str, rows: int, *args: str) -> float:
    """The seconds of one `git track ls`; it has to print as many rows as asked for."""
    sample = process(["git", "track", "ls", *args], repo, scene.env)
    if sample.output.count(b"\n") < rows:
        raise ValueError(f"`git track ls` printed {sample.output.count(bytes([10]))} lines, not {rows} runs")
    return sample.wall
