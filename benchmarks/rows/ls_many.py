"""`git track ls` of 10,000 runs: without an index, with it, and beside sixteen trainings that have logged a lot."""

import contextlib
import fcntl
import glob
import os
import shutil
from collections.abc import Iterator

from benchmarks import population
from benchmarks.harness import Line, clocked, in_turns, process
from benchmarks.rows.ls import listing, populated
from benchmarks.scene import Scene
from gittrack.git.discover import discover
from gittrack.runs import live

RUNS = 10_000
LIVE = 16
LINES = 1_000_000
FLOOR = "`git for-each-ref` + `git cat-file --batch` of the same records (run, status, params, summary)"
RECORD = ("run.json", "status.json", "params.json", "summary.json")


def measure(scene: Scene) -> Iterator[Line]:
    small, large = populated(scene, 1_000), populated(scene, RUNS)
    floor, cold = in_turns(5, lambda: read_with_git(scene, large), lambda: cold_listing(scene, large))
    yield Line("ls-10000/cold", "`git track ls`, 10,000 runs, no index yet", FLOOR, floor, cold, "s", 3.5)

    def warm(repo: str) -> float:
        return listing(scene, repo, 30) * 1e3

    few, many = in_turns(21, lambda: warm(small), lambda: warm(large))
    work = "`git track ls`, 10,000 runs, warm"
    yield Line("ls-10000/warm", work, "the same with 1,000 runs", few, many, "ms", 1.5)

    busy = scene.folder("busy")
    shutil.rmtree(busy)
    shutil.copytree(large, busy, symlinks=True)
    warm(busy)
    with trainings(busy) as log_on:

        def beside() -> float:
            log_on()
            return warm(busy)

        first = clocked(lambda: warm(busy))
        alone, together = in_turns(15, lambda: warm(large), beside)
    yield Line(
        "ls-10000/live", f"the same beside {LIVE} live runs of 1,000,000 lines that go on logging",
        work, alone, together, "ms", 1.5,
        note=f"the first call after they appeared took {first:.2f} s",
    )  # fmt: skip


def read_with_git(scene: Scene, repo: str) -> float:
    """The seconds in which git gives the bytes that a table of all runs is made from."""
    listed = process(["git", "for-each-ref", "--format=%(objectname)", "refs/track/runs"], repo, scene.env)
    specs = os.path.join(scene.root, "specs")
    with open(specs, "w") as file:
        file.writelines(f"{tip}:{name}\n" for tip in listed.output.decode().split() for name in RECORD)
    return listed.wall + process(["git", "cat-file", "--batch"], repo, scene.env, stdin=specs).wall


def cold_listing(scene: Scene, repo: str) -> float:
    for path in glob.glob(os.path.join(repo, ".git", "track", "index*")):
        os.unlink(path)
    return listing(scene, repo, 30)


@contextlib.contextmanager
def trainings(repo: str) -> Iterator["LogOn"]:
    """Sixteen live folders, their journals locked by this process as a training would; gives what lets them log on."""
    paths = discover(repo, {})
    descriptors = []
    journals = []
    first: str | None = None
    for number in range(LIVE):
        run_id, directory = live.create(paths)
        journal = os.path.join(directory, "run.jsonl")
        head = population.start(run_id, population.START, None, {"lr": 0.1, "seed": number})
        head = head.replace(b'"boot":"0"', b'"boot":"%s"' % str(live.here().boot).encode())
        population.write(journal, head)
        if first is None:
            population.append_points(journal, 0, LINES)
            first, skip = journal, len(head)
        else:  # the bytes after the head are the same for all: made once, copied fifteen times
            with open(first, "rb") as source, open(journal, "ab") as target:
                source.seek(skip)
                shutil.copyfileobj(source, target, 1 << 20)
        descriptors.append(os.open(journal, os.O_RDONLY))
        fcntl.flock(descriptors[-1], fcntl.LOCK_EX)
        journals.append(journal)
    try:
        yield LogOn(journals)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


class LogOn:
    """Called, it lets every training log a hundred points more."""

    def __init__(self, journals: list[str]) -> None:
        self._journals = journals
        self._next = LINES

    def __call__(self) -> None:
        for journal in self._journals:
            population.append_points(journal, self._next, 100)
        self._next += 100
