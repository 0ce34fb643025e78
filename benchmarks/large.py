"""A repository with very many archived runs, in minutes. usage: python -m benchmarks.large DIR COUNT [--writers N]

The records go in by `git fast-import`, as bytes that `git track run` would have written; then each writer moves his own
into his archive, by the code that users have, and the newest of them keep their refs. DIR must not exist yet.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from benchmarks import population
from gittrack.core import codec, layout
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archiving, writer
from gittrack.runs.annotations import Author

START = 1_700_000_000
APART = 300  # seconds between the starts of two runs
POINTS = 10
COMMITS = 1_000  # of the user's own
LOOSE = 10  # runs of each writer that keep refs of their own
WRITERS = 10
SCRATCH = "refs/scratch"
MARKS = "large-marks"
WHO = "Ann Example <ann@example.org>"
SMALL = ("-c", "core.compression=1")  # a third of the time, and a tenth more bytes


def build(path: str, env: Mapping[str, str], count: int, writers: int = WRITERS) -> None:
    """Make the repository at `path`: `count` runs by that many writers. Raises CalledProcessError."""
    subprocess.run(["git", "init", "-q", "-b", "main", path], env=env, check=True)
    _git(path, env, "config", "gc.auto", "0")  # so that it is measured where it is to be
    heads = _history(path, env)
    for number in range(writers):
        mine = range(number * count // writers, (number + 1) * count // writers)
        _import(path, env, _runs(mine, heads, f"{number:016x}"))
        _refer(path, env, mine, heads)
        repository = open_repository(discover(path, env), env)
        try:
            _archive(repository, f"{number:016x}")
        finally:
            repository.close()
    # As git itself would leave it one day: one pack. The commits that are data now are objects no more.
    _git(path, env, "-c", "pack.window=0", "gc", "--quiet", "--prune=now")
    _git(path, env, "reset", "-q", "--hard")


def _history(path: str, env: Mapping[str, str]) -> list[str]:
    """What the user has committed; gives the commits."""

    def commits() -> Iterator[bytes]:
        for number in range(COMMITS):
            yield f"commit refs/heads/main\ncommitter {WHO} {START + number * 600} +0000\n".encode()
            yield _data(f"Change {number}\n".encode())
            yield f"M 644 inline package/module{number % 50:02d}.py\n".encode()
            yield _data(f"x = {number}\n".encode() * 20)

    _import(path, env, commits())
    return _git(path, env, "rev-list", "--reverse", "main").decode().split()


def _runs(numbers: range, heads: list[str], by: str) -> Iterator[bytes]:
    """The runs with these numbers, two commits each."""
    shared = {
        "format": layout.format_line(),
        "environment/requirements.txt": population.PACKAGES.encode(),
        "environment/python.json": codec.dumps({"version": "3.11.7", "prefix": "/venv"}),
        "environment/system.json": codec.dumps({"cpus": 2, "system": "Linux"}),
    }
    for mark, data in enumerate(shared.values(), 1):
        yield f"blob\nmark :{mark}\n".encode() + _data(data)
    files = "".join(f"M 644 :{mark} {name}\n" for mark, name in enumerate(shared, 1)).encode()
    for number in numbers:
        yield from _run(number, _head(heads, number, numbers), by, files)
    yield f"reset {SCRATCH}\nfrom {heads[-1]}\n\n".encode()


def _refer(path: str, env: Mapping[str, str], numbers: range, heads: list[str]) -> None:
    """The refs of these runs, all at once: fast-import would write a file for each."""
    _git(path, env, "update-ref", "-d", SCRATCH)
    _git(path, env, "pack-refs", "--all")
    with open(os.path.join(path, ".git", MARKS)) as file:
        oids = dict(line.split() for line in file)
    found = {layout.run_ref(id_of(number)): oids[f":{_mark(number)}"] for number in numbers}
    found |= {layout.code_ref(head): head for head in {_head(heads, number, numbers) for number in numbers}}
    packed = os.path.join(path, ".git", "packed-refs")
    with open(packed) as file:
        found |= {name: oid for oid, name in (line.split() for line in file if line[0] not in "#^")}
    with open(packed, "w") as file:
        file.write("# pack-refs with: peeled fully-peeled sorted \n")
        file.writelines(f"{found[name]} {name}\n" for name in sorted(found))


def _mark(number: int) -> int:
    return number + 1_000


def id_of(number: int) -> str:
    """Of run number `number`, in every repository that is made here."""
    return f"{random.Random(number).getrandbits(80):020x}"


def _head(heads: list[str], number: int, numbers: range) -> str:
    """What was checked out when the run started."""
    return heads[(number - numbers.start) * len(heads) // len(numbers)]


def _run(number: int, head: str, by: str, shared: bytes) -> Iterator[bytes]:
    chance, run_id = random.Random(-number - 1), id_of(number)
    at = START + number * APART
    params = {
        "lr": chance.random(), "batch_size": chance.choice([32, 64, 128]), "epochs": POINTS, "optimizer": "adam",
        "seed": chance.randrange(10), "model": chance.choice(["resnet18", "resnet50", "vit"]), "weight_decay": 0.0001,
        "dropout": chance.choice([0.0, 0.1, 0.5]),
    }  # fmt: skip
    given = {name: {"source": "argparse", "value": value} for name, value in params.items()}
    facts = json.loads(
        population.start(run_id, at, head, {}, f"python train.py --lr {params['lr']:.4g}").split(b"\n")[1]
    )
    points = [population.metrics(chance, step, step * 10.0, at) for step in range(POINTS)]
    status: dict[str, Any] = {
        "status": "running", "started": codec.format_time(at), "ended": None, "duration": 0.0, "exit_code": None,
        "signal": None, "reason": None, "heartbeat": codec.format_time(at), "warnings": [],
    }  # fmt: skip
    ended = {"ended": codec.format_time(at + 100), "duration": 100.0, "exit_code": 0, "status": "completed"}
    name = f"run-{number}" if number % 100 == 0 else None
    before = {
        "run.json": {**facts["run"], "writer": by, "name": name},
        "params.json": given,
        "status.json": status,
        "summary.json": {"checkpoints": {"best": None, "count": 0, "latest": None}, "goals": facts["goals"],
                         "metrics": {}, "points": 0, "primary": None},
    }  # fmt: skip
    after: dict[str, bytes] = {
        "status.json": codec.dumps({**status, **ended, "heartbeat": ended["ended"]}),
        "summary.json": codec.dumps(_summary(points, facts["goals"])),
        "metrics/000/00.jsonl": b"".join(points),
        "console/000/00.log": b"".join(b"epoch %d\n" % step for step in range(POINTS)),
    }
    yield f"reset {SCRATCH}\n".encode()  # a commit without parents comes next
    yield _commit(at, f"start {run_id[:7]}: python train.py\n\nTrack-Run: {run_id}\nTrack-Cut: 0\n") + shared
    yield from _files({path: codec.dumps(document) for path, document in before.items()})
    yield _commit(at + 100, f"completed after 1 min 40 s\n\nTrack-Run: {run_id}\nTrack-Cut: 1\n", _mark(number))
    yield from _files(after)


def _summary(points: list[bytes], goals: Mapping[str, str]) -> dict[str, Any]:
    series: dict[str, list[float]] = {}
    for line in points:
        for name, value in json.loads(line)["m"].items():
            series.setdefault(name, []).append(value)
    metrics = {}
    for name, values in series.items():
        low, high = min(values), max(values)
        metrics[name] = {
            "count": len(values), "last": values[-1], "last_step": len(values) - 1, "max": high,
            "max_step": values.index(high), "min": low, "min_step": values.index(low),
        }  # fmt: skip
        if name in goals:
            metrics[name] |= {"best": low, "best_step": values.index(low)}
    checkpoints = {"best": None, "count": 0, "latest": None}
    return {"checkpoints": checkpoints, "goals": goals, "metrics": metrics, "points": len(points) * len(series),
            "primary": None}  # fmt: skip


def _archive(repository: Repository, by: str) -> None:
    """What the last writer left behind is his; the rest of what has refs goes into the archive of this one."""
    writer.renew(repository.paths, by)
    mine = [ref.rpartition("/")[2] for ref, tip in repository.refs(layout.RUNS).items() if _is_by(repository, tip, by)]
    author = Author(WHO, time.time(), "python -m benchmarks.large")
    archiving.archive(repository, mine[: len(mine) - LOOSE], author)


def _is_by(repository: Repository, tip: str, by: str) -> bool:
    return f'"writer":"{by}"'.encode() in (repository.read_path(tip, "run.json") or b"")


def _commit(at: int, message: str, mark: int | None = None) -> bytes:
    known = f"mark :{mark}\n" if mark else ""
    return f"commit {SCRATCH}\n{known}committer {WHO} {at} +0000\n".encode() + _data(message.encode())


def _files(files: Mapping[str, bytes]) -> Iterator[bytes]:
    for path, data in files.items():
        yield f"M 644 inline {path}\n".encode() + _data(data)


def _data(data: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(data), data)


def _import(path: str, env: Mapping[str, str], stream: Iterator[bytes]) -> None:
    argv = ["git", *SMALL, "fast-import", "--quiet", "--force", "--depth=0", "--done", f"--export-marks=.git/{MARKS}"]
    with subprocess.Popen(argv, cwd=path, env=env, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        given: BinaryIO = process.stdin  # type: ignore[assignment]
        for piece in stream:
            given.write(piece)
        given.write(b"done\n")
        given.close()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)


def _git(path: str, env: Mapping[str, str], *args: str) -> bytes:
    return subprocess.run(["git", *args], cwd=path, env=env, check=True, capture_output=True).stdout


def unused(repository: Repository) -> list[RefChange]:
    """The deletions of all refs of ours: the same repository without gittrack."""
    return [RefChange(ref, oid, None) for ref, oid in repository.refs("refs/track/").items()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("path", metavar="DIR")
    parser.add_argument("count", metavar="COUNT", type=int)
    parser.add_argument("--writers", metavar="N", type=int, default=WRITERS)
    asked = parser.parse_args()
    begin = time.monotonic()
    build(asked.path, dict(os.environ), asked.count, asked.writers)
    print(f"{asked.count:,} runs by {asked.writers} writers in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
