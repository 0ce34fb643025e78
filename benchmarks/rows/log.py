"""`run.log`: what a training pays at every step, on its own thread."""

import json
import os
import sys
from collections.abc import Iterator

from benchmarks.harness import Line, Spread, process
from benchmarks.scene import HERE, Scene

VARIANTS = {
    "one": ('`run.log({"loss": x}, step=i)`, 100,000 times', '`json.dumps(["loss", i, x])` + `os.write`'),
    "nan": ("the same with NaN each time", '`json.dumps(["loss", i, x])` + `os.write`'),
    "ten": ("`run.log` of ten metrics, 100,000 times", "`json.dumps` of the ten metrics + `os.write`"),
}


def measure(scene: Scene) -> Iterator[Line]:
    argv = [sys.executable, os.path.join(HERE, "log_call.py"), scene.root]
    found = json.loads(process(argv, scene.root, scene.env).output)
    for name, (work, floor) in VARIANTS.items():
        least, took = (Spread(tuple(found[name][side])) for side in ("floor", "ours"))
        yield Line(f"log/{name}", work, floor, least, took, "µs", 1.0)
