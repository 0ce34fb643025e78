"""What a checkpoint's files cost: for the training, until they are stored, on the disk, and to get them back."""

import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator

from benchmarks.harness import Failed, Line, Spread, clocked, in_turns, process
from benchmarks.scene import Scene, program, size
from gittrack.store.local import open_local

MB = 1024 * 1024
CHECKPOINT = 256 * MB
LARGE = 1024 * MB
VERSIONS = 4
PIECE = MB


def measure_store(scene: Scene) -> Iterator[Line]:
    """Seconds of processor, all threads: the work is done behind the training, on the cores that it leaves."""
    track, copy = os.path.join(scene.root, "track"), os.path.join(scene.root, "copy")
    file = _file(scene, CHECKPOINT)

    def ours() -> float:
        shutil.rmtree(track, ignore_errors=True)
        return _processor(lambda: open_local(track).put_file(file))

    def floor() -> float:
        return _processor(lambda: _read_hash_twice_write(file, copy))

    least, took = in_turns(7, floor, ours)
    work = "processor time until a new checkpoint file of 256 MB is stored: cut, hashed, written, flushed"
    yield Line("store", work, "one read, two sha256, one write, flushed", least, took, "s", 1.5)
    os.unlink(copy)


def measure_checkout(scene: Scene) -> Iterator[Line]:
    file, copy = _file(scene, LARGE), os.path.join(scene.root, "copy")
    content = open_local(os.path.join(scene.folder("checkout"), "track"))
    kept = content.put_file(file)

    def floor() -> float:
        _remove(copy)
        return clocked(lambda: (subprocess.run(["cp", file, copy], check=True), _sha256(copy)))

    def ours() -> float:
        _remove(copy)
        return clocked(lambda: content.copy_to(kept.sha256, kept.size, copy))

    least, took = in_turns(5, floor, ours)
    yield Line("checkout", "a file of 1 GB out of the local store, verified", "`cp` and sha256", least, took, "s", 1.5)
    _remove(copy)


def measure_blocked(scene: Scene) -> Iterator[Line]:
    took, _, _ = _trained(scene, "plain", 8)
    least, ours = (Spread(tuple(taken[1:])) for taken in (took["copy"], took["checkpoint"]))
    work = "`run.checkpoint(path=...)` of a file of 256 MB: how long the training waits"
    yield Line("blocked", work, "a plain copy of the file", least, ours, "s", 1.1)


def measure_versions(scene: Scene) -> Iterator[Line]:
    """Each version is a file of its own name, as trainings write them."""
    for kind, what in (
        ("plain", "a tenth of its bytes new each time"),
        ("torch", "a torch state dict of which 90 % of the tensors are frozen"),
    ):
        _, grown, one = _trained(scene, kind, VERSIONS)
        work = f"{VERSIONS} checkpoints of a file of 256 MB, {what}: growth of .git"
        yield Line(f"versions/{kind}", work, "one version", Spread((one,)), Spread((grown,)), "MB", 1.35)


def _trained(scene: Scene, kind: str, count: int) -> tuple[dict[str, list[float]], float, float]:
    """Run a training with `count` checkpoints: what it timed, the growth of .git, and the size of a version, in MB."""
    repo = scene.repository("checkpointing")
    before = size(os.path.join(repo, ".git"))
    sample = process(program("checkpointing.py", kind, str(count), scene.folder("made")), repo, scene.env)
    ends = process(["git", "track", "artifacts", "latest", "--json"], repo, scene.env)
    kept = [file["size"] for file in json.loads(ends.output)]
    if len(kept) != count:
        raise Failed(f"{len(kept)} files are kept, not {count}")
    return json.loads(sample.output), (size(os.path.join(repo, ".git")) - before) / MB, kept[0] / MB


def _file(scene: Scene, count: int) -> str:
    path = os.path.join(scene.root, f"file-{count}")
    if not os.path.exists(path):
        chance = random.Random(count)
        with open(path, "wb") as file:
            file.writelines(chance.randbytes(PIECE) for _ in range(count // PIECE))
    return path


def _processor(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _read_hash_twice_write(source: str, target: str) -> None:
    _remove(target)
    whole, piece, buffer = hashlib.sha256(), hashlib.sha256(), memoryview(bytearray(PIECE))
    with open(source, "rb", buffering=0) as file, open(target, "wb", buffering=0) as copy:
        while count := file.readinto(buffer):
            whole.update(buffer[:count])
            piece.update(buffer[:count])
            copy.write(buffer[:count])
        os.fsync(copy.fileno())


def _sha256(path: str) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(PIECE))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
