"""What `git track run true` adds to `true`, with one dirty file that is another one each time."""

import os
import shutil
from collections.abc import Iterator

from benchmarks.harness import Line, clocked, in_turns, process
from benchmarks.scene import Scene, program

FLOOR = "typer application of one empty command that imports pygit2 + `git add -A` into a copied index + `write-tree`"


def measure(scene: Scene) -> Iterator[Line]:
    yield _with(scene, 1_000, 15)
    yield _with(scene, 20_000, 11)


def _with(scene: Scene, files: int, repeats: int) -> Line:
    repo = scene.repository(f"run-{files}", files)
    turns = iter(range(1_000_000))

    def edit() -> None:
        with open(os.path.join(repo, "package001", "module00100.py"), "w") as file:
            file.write(f"x = {next(turns)}  # edited\n")

    def floor() -> float:
        edit()
        empty = process(program("typer_pygit2.py"), repo, scene.env).wall
        return (empty + clocked(lambda: _snapshot(scene, repo))) * 1e3

    def bare() -> float:
        return process(["true"], repo, scene.env).wall * 1e3

    def tracked() -> float:
        edit()
        return process(["git", "track", "run", "true"], repo, scene.env).wall * 1e3

    least, alone, whole = in_turns(repeats, floor, bare, tracked)
    ours = type(whole)(tuple(a - b for a, b in zip(whole.values, alone.values, strict=True)))
    count = f"{files:,} files, one dirty"
    return Line(f"run/{files}", f"what `git track run true` adds to `true`, {count}", FLOOR, least, ours, "ms", 1.5)


def _snapshot(scene: Scene, repo: str) -> None:
    """What any snapshot of a work tree costs: see `overhead.sh` of the peers' measurements."""
    index = os.path.join(scene.root, "index")
    shutil.copyfile(os.path.join(repo, ".git", "index"), index)
    env = {**scene.env, "GIT_INDEX_FILE": index}
    process(["git", "add", "-A"], repo, env)
    process(["git", "write-tree"], repo, env)
