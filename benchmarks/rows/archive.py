"""5,000 runs moved into an archive by `git track archive --all`: objects, three refs, and 5,000 refs less."""

import os
import shutil
from collections.abc import Iterator

from benchmarks.harness import LIMIT, Failed, Line, Spread, process
from benchmarks.rows.ls import listing, populated
from benchmarks.scene import Scene

RUNS = 5_000
TIMES = 3


def measure(scene: Scene) -> Iterator[Line]:
    source = populated(scene, RUNS)
    listing(scene, source, 30)  # the index is there, as it is where runs were made
    took: list[float] = []
    grown: list[float] = []
    for _ in range(TIMES):
        repo = os.path.join(scene.root, "archiving")
        shutil.rmtree(repo, ignore_errors=True)
        shutil.copytree(source, repo, symlinks=True)
        listing(scene, repo, 30)
        before = _size(scene, repo)
        took.append(process(["git", "track", "archive", "--all", "--yes"], repo, scene.env).wall)
        left = scene.git(repo, "for-each-ref", "--format=%(refname)", "refs/track/runs").split()
        if left:
            raise Failed(f"{len(left)} runs have refs yet")
        grown.append((_size(scene, repo) - before) * 1024 / RUNS)
    work = f"`git track archive --all`, {RUNS:,} runs"
    note = f"the repository grew by {Spread(tuple(grown)).median:.0f} bytes a run"
    yield Line("archive", work, "", None, Spread(tuple(took)), "s", 3.0, LIMIT, note)


def _size(scene: Scene, repo: str) -> float:
    """What git says its packs and loose objects take, in KiB."""
    said = dict(line.split(": ") for line in scene.git(repo, "count-objects", "-v").decode().splitlines())
    return float(said["size-pack"]) + float(said["size"])
