"""Repositories full of finished runs, made in seconds by what makes every record: journal lines, fold, git.

Only the processes are left out. The runs look like a year of sweeps: eight parameters, five metrics of sixty points,
a short console, an environment that most of them share; some failed, some keep checkpoints. All from one seed.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gittrack.core import codec, events, fold, layout
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange
from gittrack.git.trees import TreeEditor

START = 1_760_000_000.0
APART = 900.0  # seconds between the starts of two runs
POINTS = 60
WRITER = "0" * 16  # the clone that recorded them
BATCH = 20_000  # objects in one pack
STATES = ["completed"] * 17 + ["failed", "failed", "killed"]
PACKAGES = "".join(f"package-{number}=={number % 7}.{number % 13}.{number % 5}\n" for number in range(120))


class Journal(NamedTuple):
    """One run before it is folded: the bytes of its files, and its cuts."""

    run_id: str
    files: Mapping[str, bytes]
    cuts: tuple[events.Cut, ...]


def populate(repo: str, env: Mapping[str, str], head: str, count: int, seed: int = 1) -> None:
    """Put `count` finished runs into the repository at `repo`, all of them of the code at commit `head`."""
    repository = open_repository(discover(repo, env), env)
    pending: dict[str, objects.Object] = {}
    changes = [RefChange(layout.code_ref(head), None, head)]

    def emit(made: objects.Object) -> None:
        pending[made.oid] = made

    try:
        for run in journals(count, head, seed):
            changes.append(RefChange(layout.run_ref(run.run_id), None, _commit(run, emit)))
            if len(pending) >= BATCH:
                repository.write([*pending.values()])
                pending.clear()
        repository.write([*pending.values()])
        repository.update_refs(changes)
        repository.git.run("pack-refs", "--all")
    finally:
        repository.close()


def journals(count: int, head: str, seed: int) -> Iterator[Journal]:
    """`count` runs, oldest first."""
    chance = random.Random(seed)
    for number in range(count):
        yield _journal(chance, number, head)


def start(run_id: str, at: float, head: str | None, params: Mapping[str, Any], command: str = "") -> bytes:
    """The first lines of a run's journal: its process, its start, its parameters, its environment."""
    facts = {
        "id": run_id, "command": command or "python train.py", "argv": ["python", "train.py"], "cwd": ".",
        "created": codec.format_time(at), "user": {"name": "Ann Example", "email": "ann@example.org"}, "host": "bench",
        "base": head, "snapshot": head, "state": None, "experiment": "sweep", "name": None, "tags": [], "note": None,
        "left_out": [], "parent": None, "continues": None, "notebook": None, "writer": WRITER, "gittrack": "bench",
    }  # fmt: skip
    process = {
        "e": "process", "boot": "0", "format": 2, "host": "bench", "machine": None, "pid": 1, "pidns": 1, "ppid": 0,
        "rank": 0, "started": 0, "t": 0.0, "w": at,
    }  # fmt: skip
    later = {"t": 0.01, "w": at + 0.01}
    lines = [
        process,
        {"e": "start", "run": facts, "goals": {"val/loss": "minimize"}, **later},
        {"e": "params", "source": "argparse", "values": params, **later},
        {"e": "environment", "name": "requirements.txt", "value": PACKAGES, **later},
        {"e": "environment", "name": "python.json", "value": {"version": "3.11.7", "prefix": "/venv"}, **later},
        {"e": "environment", "name": "system.json", "value": {"cpus": 2, "system": "Linux"}, **later},
    ]
    return b"".join(map(event, lines))


def event(fields: Mapping[str, Any]) -> bytes:
    """One journal line; `e` comes first, as the recorder writes it."""
    rest = {name: value for name, value in fields.items() if name != "e"}
    return b'{"e":' + codec.dumps(fields["e"])[:-1] + b"," + codec.dumps(rest)[1:]


def metrics(chance: random.Random, step: int, t: float, at: float) -> bytes:
    """A metric line with the digits that real losses have."""
    decay = 1.0 / (1.0 + step * 0.05)
    values = (
        f'"train/loss":{decay + chance.random() * 0.1!r},"val/loss":{decay + chance.random() * 0.2!r},'
        f'"val/acc":{1 - decay * chance.random()!r},"lr":{0.001 * decay!r},"seconds":{chance.random()!r}'
    )
    return f'{{"m":{{{values}}},"s":{step},"t":{t:.6f},"w":{at + t:.3f}}}\n'.encode()


def checkpoint(chance: random.Random, step: int, t: float, at: float, parcel: str | None = None) -> bytes:
    """A checkpoint and, before it, the line with its metrics; behind it those of its file, if it has one."""
    loss = 1.0 / (1.0 + step * 0.05) + chance.random() * 0.2
    line = f'{{"m":{{"val/loss":{loss!r}}},"s":{step},"t":{t:.6f},"w":{at + t:.3f}}}\n'.encode()
    fields: dict[str, Any] = {"e": "checkpoint", "m": {"val/loss": loss}, "primary": ["val/loss", "minimize"]}
    later = {"t": t, "w": at + t}
    if parcel is None:
        return line + event({**fields, "s": step, **later})
    size = chance.randrange(1 << 30)
    kept = {"in": "store", "mode": "100644", "path": "model.pt", "sha256": chance.randbytes(32).hex(), "size": size}
    lines = [
        {**fields, "parcel": parcel, "s": step, **later},
        {"e": "kept", "parcel": parcel, **kept, **later},
        {"e": "parcel", "files": 1, "left_out": [], "parcel": parcel, "size": size, **later},
    ]
    return line + b"".join(map(event, lines))


def _journal(chance: random.Random, number: int, head: str) -> Journal:
    run_id = f"{chance.getrandbits(80):020x}"
    at = START + number * APART + chance.random() * 100
    params = {
        "lr": chance.choice([0.1, 0.03, 0.01, 0.003]), "batch_size": chance.choice([32, 64, 128]), "epochs": POINTS,
        "seed": chance.randrange(10), "model": chance.choice(["resnet18", "resnet50", "vit"]), "optimizer": "adam",
        "dropout": chance.choice([0.0, 0.1, 0.5]), "weight_decay": 0.0001,
    }  # fmt: skip
    journal = bytearray(start(run_id, at, head, params, f"python train.py --lr {params['lr']}"))
    cuts = [events.Cut(0, {events.STARTER: len(journal)}, "start", None, at)]
    for step in range(POINTS):
        t = step * 10.0 + chance.random()
        journal += metrics(chance, step, t, at)
        if number % 10 == 0 and step % 30 == 29:
            journal += checkpoint(chance, step, t, at)
            cuts.append(events.Cut(len(cuts), {events.STARTER: len(journal)}, "checkpoint", None, at + t))
    status = chance.choice(STATES)
    ended = at + POINTS * 10.0
    code, signal = {"completed": (0, None), "failed": (1, None), "killed": (None, "SIGKILL")}[status]
    end = {"e": "end", "code": code, "reason": None, "signal": signal, "status": status}
    journal += event({**end, "t": POINTS * 10.0, "w": ended})
    console = "".join(f"epoch {step}: loss {chance.random():.4f}\n" for step in range(POINTS)).encode()
    files = {events.STARTER: bytes(journal), events.CONSOLE: console}
    cuts.append(events.Cut(len(cuts), {name: len(data) for name, data in files.items()}, "final", None, ended))
    return Journal(run_id, files, tuple(cuts))


def _commit(run: Journal, emit: Callable[[objects.Object], None]) -> str:
    """Fold all cuts of a run, as `gittrack.runs.folding` does; gives the tip."""
    folding = fold.Fold()
    tip: list[str] = []
    trees: dict[str, bytes] = {}
    tree = TreeEditor("sha1", trees.__getitem__)

    def put(path: str, data: bytes) -> None:
        made = objects.blob(data)
        emit(made)
        tree.put(path, made.oid)

    def keep(made: objects.Object, _before: str | None) -> None:
        trees[made.oid] = made.data
        emit(made)

    for cut in run.cuts:
        commit = folding.advance(cut, lambda name, begin, end: run.files[name][begin:end], put)
        made = objects.commit(tree.write(keep), tip, commit.author, commit.seconds, commit.message)
        emit(made)
        tip = [made.oid]
    return tip[0]


def write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def append_points(path: str, first: int, count: int, seed: int = 1) -> None:
    """Append metric lines to a journal, one millisecond apart."""
    chance = random.Random(seed + first)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        for at in range(first, first + count, 10_000):
            steps = range(at, min(at + 10_000, first + count))
            os.write(descriptor, b"".join(metrics(chance, step, step * 0.001, START) for step in steps))
    finally:
        os.close(descriptor)
