"""Kill trainings, `git track run`, or both, at random points; then look for anything that was promised and is gone.

usage: python -m benchmarks.kills [ROUNDS [SEED]]

A training writes down each step whose log() has returned. After the kill and one `git track` command the repository
must be sound, the run must be listed with a state that says what happened, and its record must hold every such step.
The record is read with plain git: what is tested here is not asked whether it works.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psutil

from benchmarks.harness import LIMIT, Line, Spread
from benchmarks.scene import Scene, opened, program

ROUNDS = 200
SEED = 20261120
STEPS = 300
TRAINING, FRONT, KEEPER = "the training", "the process that was called", "the process that records"
VICTIMS = ((TRAINING,), (FRONT,), (KEEPER,), (FRONT, KEEPER), (TRAINING, FRONT, KEEPER))
PATIENCE = 60.0


class Round(NamedTuple):
    """One kill and what was found after it."""

    victim: str
    delay: float
    run_id: str | None  # None: it died before there was a run, and nothing was promised
    acknowledged: int
    status: str | None
    faults: list[str]


def rounds(scene: Scene, count: int, seed: int = SEED) -> Iterator[Round]:
    """Kill `count` times in one repository. The points of time are those of `seed`, stretched to this machine."""
    chance = random.Random(seed)
    repo = scene.repository("kills")
    whole = _unharmed(scene, repo)
    for number in range(count):
        yield _round(scene, repo, number, chance.choice(VICTIMS), chance.random() * whole)


def measure(scene: Scene) -> Iterator[Line]:
    done = list(rounds(scene, ROUNDS))
    faults = [fault for each in done for fault in each.faults]
    kept = sum(each.acknowledged for each in done)
    work = f"{ROUNDS} SIGKILLs of the training, of `git track run`, of both, at random points: faults found after them"
    note = f"{kept:,} points whose log() had returned were looked for" + "".join(f"; {fault}" for fault in faults[:3])
    yield Line("kills", work, "", None, Spread((float(len(faults)),)), "", 0.0, LIMIT, note)


def _unharmed(scene: Scene, repo: str) -> float:
    """The seconds of a round without a kill."""
    begin = time.perf_counter()
    child = _start(scene, repo, os.path.join(scene.root, "acknowledged"))
    child.wait(PATIENCE)
    return time.perf_counter() - begin


def _start(scene: Scene, repo: str, said: str) -> "subprocess.Popen[bytes]":
    argv = ["git-track", "run", "--quiet", *program("training.py", said, str(STEPS))]
    env = {**scene.env, "GITTRACK_STRICT": "1"}
    return subprocess.Popen(
        argv, cwd=repo, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, executable=_which("git-track", scene),
    )  # fmt: skip


def _which(name: str, scene: Scene) -> str:
    return os.path.join(scene.env["PATH"].split(os.pathsep)[0], name)


def _round(scene: Scene, repo: str, number: int, victims: Sequence[str], delay: float) -> Round:
    said = os.path.join(scene.root, f"acknowledged-{number}")
    tracker = _start(scene, repo, said)
    time.sleep(delay)
    found = _processes(tracker.pid)
    for name in victims:
        for process in found[name]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    tracker.wait(PATIENCE)
    for process in psutil.wait_procs([*found[TRAINING], *found[KEEPER]], PATIENCE)[1]:
        raise TimeoutError(f"process {process.pid} goes on after {' and '.join(victims)} was killed")
    return _judged(scene, repo, said, " and ".join(victims), delay)


def _processes(pid: int) -> dict[str, list[psutil.Process]]:
    """Who is who among `git track run` and the processes below it."""
    found: dict[str, list[psutil.Process]] = {TRAINING: [], FRONT: [], KEEPER: []}
    with contextlib.suppress(psutil.NoSuchProcess):
        front = psutil.Process(pid)
        found[FRONT].append(front)
        for child in front.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found[TRAINING if child.cmdline()[1:2] == program("training.py")[1:] else KEEPER].append(child)
    return found


def _judged(scene: Scene, repo: str, said: str, victim: str, delay: float) -> Round:
    faults: list[str] = []
    listed = json.loads(_output(scene, repo, "git", "track", "ls", "--all", "--json") or "[]")
    complaints = _complaints(scene, repo)
    if complaints:  # a git that outlived its killed parent may just be moving objects into a pack
        time.sleep(2.0)
        complaints = _complaints(scene, repo)
    if complaints:
        faults.append(f"git fsck: {complaints[:3]}")
    still = [row["id"][:7] for row in listed if row["status"] not in _OVER]
    if still:
        faults.append(f"nobody is there, and {still} are not over")
    lines = _lines(said)
    if not lines:
        return Round(victim, delay, None, 0, None, faults)
    run_id, steps, ended = lines[0], {int(line) for line in lines[1:] if line.isdigit()}, "end" in lines
    status = next((row["status"] for row in listed if row["id"] == run_id), None)
    allowed = {"killed", "crashed"} | ({"completed"} if ended else set())
    if status not in allowed:
        faults.append(f"{run_id[:7]} is {status} after {victim} was killed at {delay:.3f} s, not one of {allowed}")
    missing = steps - (_recorded(scene, repo, run_id) if steps else set())
    if missing:
        faults.append(f"{run_id[:7]}: {len(missing)} of {len(steps)} acknowledged points are gone ({victim})")
    return Round(victim, delay, run_id, len(steps), status, faults)


_OVER = ("completed", "failed", "killed", "crashed")
_HARMLESS = (b"dangling", b"unreachable", b"notice", b"Checking")  # objects that a kill left without a ref


def _complaints(scene: Scene, repo: str) -> list[bytes]:
    """What git fsck has to say against the repository."""
    check = subprocess.run(["git", "fsck", "--strict"], cwd=repo, env=scene.env, capture_output=True, check=False)
    found = [line for line in (check.stdout + check.stderr).splitlines() if not line.startswith(_HARMLESS)]
    return found or [b"exit status %d" % check.returncode] * bool(check.returncode)


def _lines(said: str) -> list[str]:
    try:
        with open(said) as file:
            return file.read().split("\n")[:-1]
    except FileNotFoundError:
        return []


def _recorded(scene: Scene, repo: str, run_id: str) -> set[int]:
    """The steps of `loss` in the record, read with git alone."""
    ref = f"refs/track/runs/{run_id[-2:]}/{run_id}"
    names = _output(scene, repo, "git", "ls-tree", "-r", "--name-only", ref, "metrics").decode().split()
    text = b"".join(_output(scene, repo, "git", "show", f"{ref}:{name}") for name in names)
    return {line["s"] for line in map(json.loads, text.splitlines()) if "loss" in line["m"]}


def _output(scene: Scene, repo: str, *argv: str) -> bytes:
    return subprocess.run(argv, cwd=repo, env=scene.env, capture_output=True, check=False).stdout


def main() -> int:
    count, seed = (*map(int, sys.argv[1:3]), *(ROUNDS, SEED)[len(sys.argv) - 1 :])
    bad = 0
    with opened() as scene:
        for number, done in enumerate(rounds(scene, count, seed)):
            bad += len(done.faults)
            run = f"{done.run_id[:7]} {done.status}, {done.acknowledged} points" if done.run_id else "no run yet"
            print(f"{number:4} {done.victim} after {done.delay:.3f} s: {run}", *done.faults, sep="\n     ! ")
    print(f"{count} rounds, {bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
