"""A training that keeps checkpoint files. usage: checkpointing.py plain|torch VERSIONS SCRATCH

Prints how long each checkpoint held it up, and, taken in turns with them, a plain copy of the same file.
"""

import glob
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial

import gittrack

MB = 1024 * 1024
SIZE = 256 * MB
CHANGED = 0.1


def plain(count: int, folder: str) -> Iterator[str]:
    """The last tenth is new in each version."""
    chance = random.Random(1)
    frozen = [chance.randbytes(MB) for _ in range(round(SIZE / MB * (1 - CHANGED)))]
    for version in range(count):
        path = os.path.join(folder, f"model_{version}.bin")
        with open(path, "wb") as file:
            file.writelines(frozen)
            file.writelines(chance.randbytes(MB) for _ in range(SIZE // MB - len(frozen)))
        yield path


def state_dict(count: int, folder: str) -> Iterator[str]:
    """Two hundred tensors of 1.34 MB; every tenth is trained, so that what changes lies all over the file."""
    import torch

    torch.manual_seed(1)
    names = [f"layers.{number}.weight" for number in range(200)]
    state = {name: torch.randn(500, 671) for name in names}
    for version in range(count):
        path = os.path.join(folder, f"model_{version}.pt")
        torch.save(state, path)
        yield path
        for name in names[:: round(1 / CHANGED)]:
            state[name] = torch.randn(500, 671)


def settled() -> None:
    """Wait until what was handed over is stored: both are to be timed on a machine that does nothing else."""
    while glob.glob(".git/track/live/*/parcels/[0-9]*"):
        time.sleep(0.02)
    os.sync()


def main() -> None:
    kind, count, scratch = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    took: dict[str, list[float]] = {"copy": [], "checkpoint": []}
    copy = os.path.join(scratch, "copy")
    run = gittrack.init()
    for step, path in enumerate((plain if kind == "plain" else state_dict)(count, scratch)):
        works = {
            "copy": partial(shutil.copyfile, path, copy),
            "checkpoint": partial(run.checkpoint, path=path, step=step, metrics={"loss": 1.0}),
        }
        for name in sorted(works, reverse=step % 2 == 0):  # who comes second finds the memory that the first has freed
            settled()
            start = time.perf_counter()
            works[name]()
            took[name].append(time.perf_counter() - start)
            if name == "copy":
                os.unlink(copy)
        os.unlink(path)
    run.finish()
    print(json.dumps(took))


if __name__ == "__main__":
    main()
