"""What is paid before anything is done: `import gittrack`, and `git track --version`."""

import sys
from collections.abc import Iterator

from benchmarks.harness import DIFFERENCE, Line, in_turns, process
from benchmarks.scene import Scene, program


def measure_import(scene: Scene) -> Iterator[Line]:
    def bare() -> float:
        return process([sys.executable, "-c", "pass"], scene.root, scene.env).wall * 1e3

    def ours() -> float:
        return process([sys.executable, "-c", "import gittrack"], scene.root, scene.env).wall * 1e3

    floor, took = in_turns(41, bare, ours)
    yield Line("import", "`import gittrack`", "`python -c pass`", floor, took, "ms", 15.0, DIFFERENCE)


def measure_version(scene: Scene) -> Iterator[Line]:
    def bare() -> float:
        return process(program("typer_empty.py"), scene.root, scene.env).wall * 1e3

    def ours() -> float:
        return process(["git", "track", "--version"], scene.root, scene.env).wall * 1e3

    floor, took = in_turns(21, bare, ours)
    yield Line("version", "`git track --version`", "typer application of one empty command", floor, took, "ms", 1.1)
