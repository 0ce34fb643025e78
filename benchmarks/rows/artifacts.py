"""What a checkpoint's files cost: for the training, until they are stored, on the disk, and to get them back."""

import hashlib
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from benchmarks.harness import LIMIT, Failed, Line, Spread, clocked, in_turns, process
from benchmarks.scene import Scene, program, size
from gittrack.store.local import open_local

MB = 1024 * 1024
CHECKPOINT = 256 * MB
LARGE = 1024 * MB
VERSIONS = 4
PIECE = MB
FRESH = "where memory was given back to the host of a virtual machine both columns double; else the ratio is 1.4 to 1.5"
SHARING = (
    'mkfs.xfs -q "$1" && mount -o loop "$1" "$2" && cd "$2" && git clone -q "$3" repo && cd repo && shift 3 && "$@"'
)


def measure_store(scene: Scene) -> Iterator[Line]:
    """Seconds of processor, all threads: the work is done behind the training, on the cores that it leaves."""
    stores = scene.folder(
        "stores"
    )  # new files for both, none deleted meanwhile: memory that was just freed is cheaper,
    file = _file(scene, CHECKPOINT)  # and ext4 is slow to make files for seconds after others were deleted

    def ours() -> float:
        return _processor(lambda: open_local(tempfile.mkdtemp(dir=stores)).put_file(file))

    def floor() -> float:
        return _processor(lambda: _read_hash_twice_write(file, os.path.join(tempfile.mkdtemp(dir=stores), "copy")))

    least, took = in_turns(7, floor, ours)
    work = "processor time until a new checkpoint file of 256 MB is stored: cut, hashed, written, flushed"
    yield Line("store", work, "one read, two sha256, one write, flushed", least, took, "s", 1.5, note=FRESH)

    made = [_file(scene, CHECKPOINT + number * PIECE) for number in range(VERSIONS)]

    def floors() -> float:
        folder = tempfile.mkdtemp(dir=stores)
        return (
            _processor(lambda: [_read_hash_twice_write(path, f"{folder}/{n}") for n, path in enumerate(made)])
            / VERSIONS
        )

    names = (f"run-{number}" for number in itertools.count())
    least, without, whole = in_turns(
        5, floors, lambda: _run(scene, next(names), []), lambda: _run(scene, next(names), made)
    )
    work = f"the same of everything: what each of {VERSIONS} such checkpoints adds to a run, copy and commit included"
    each = Spread(tuple((took - without.median) / VERSIONS for took in whole.values))
    note = "as above; else the ratio is 1.6"
    yield Line("store/run", work, "one read, two sha256, one write, flushed", least, each, "s", 1.5, note=note)
    for path in made[1:]:
        os.unlink(path)
    shutil.rmtree(stores)
    for number in range(int(next(names).removeprefix("run-"))):
        shutil.rmtree(os.path.join(scene.root, f"run-{number}"))


def _run(scene: Scene, name: str, paths: list[str]) -> float:
    """Processor time of a run with these checkpoints in a new repository, and of all of its processes."""
    repo = scene.repository(name)
    code = f"import gittrack\nrun = gittrack.init()\nfor path in {paths!r}: run.checkpoint(path=path)"
    argv = program("all_of_it.py", "git", "track", "run", "-q", sys.executable, "-c", code)
    took = float(process(argv, repo, scene.env).output)
    ends = process(["git", "track", "artifacts", "latest", "--json"], repo, scene.env)
    if len(json.loads(ends.output)) != len(paths):
        raise Failed("not every checkpoint is kept")
    return took


def measure_checkout(scene: Scene) -> Iterator[Line]:
    file, copy = _file(scene, LARGE), os.path.join(scene.root, "copy")
    repo, back = scene.repository("checkout"), os.path.join(scene.root, "back")
    code = f"import gittrack\ngittrack.init().checkpoint(path={file!r}, step=1)"
    process(["git", "track", "run", "-q", sys.executable, "-c", code], repo, scene.env)
    content = open_local(os.path.join(repo, ".git", "track"))
    kept = content.put_file(file)

    def floor() -> float:
        _remove(copy)
        return clocked(lambda: (subprocess.run(["cp", file, copy], check=True), _sha256(copy)))

    def ours() -> float:
        _remove(copy)
        return clocked(lambda: content.copy_to(kept.sha256, kept.size, copy))

    def command() -> float:
        shutil.rmtree(back, ignore_errors=True)
        return process(["git", "track", "checkout", "latest", "--artifacts", "-o", back], repo, scene.env).wall

    least, took, whole = in_turns(5, floor, ours, command)
    yield Line("checkout", "a file of 1 GB out of the local store, verified", "`cp` and sha256", least, took, "s", 1.5)
    work = "`git track checkout` of a checkpoint of 1 GB"
    yield Line("checkout/command", work, "`cp` and sha256", least, whole, "s", 1.5)
    shutil.rmtree(back)
    shutil.rmtree(repo)
    _remove(copy)


def measure_blocked(scene: Scene) -> Iterator[Line]:
    took, _, _ = _trained(scene, "plain", 8)
    least, ours = (Spread(tuple(taken[1:])) for taken in (took["copy"], took["checkpoint"]))
    work = "`run.checkpoint(path=...)` of a file of 256 MB: how long the training waits"
    yield Line("blocked", work, "a plain copy of the file", least, ours, "s", 1.1)


def measure_sharing(scene: Scene) -> Iterator[Line]:
    """On a file system of our own, which has to be mounted."""
    image, place = os.path.join(scene.root, "image"), scene.folder("mounted")
    with open(image, "wb") as file:
        file.truncate(8 * LARGE)
    origin = scene.repository("origin")
    training = program("checkpointing.py", "plain", "8", place)
    argv = ["unshare", "--mount", "sh", "-c", SHARING, "sh", image, place, origin, *training]
    took = json.loads(process(argv, scene.root, scene.env).output)["checkpoint"][1:]
    work = "the same on a file system that shares blocks (xfs)"
    yield Line("sharing", work, "", None, Spread(tuple(each * 1000 for each in took)), "ms", 10, LIMIT)
    os.unlink(image)


def measure_versions(scene: Scene) -> Iterator[Line]:
    """Each version is a file of its own name, as trainings write them."""
    for kind, what in (
        ("plain", "a tenth of its bytes new each time"),
        ("torch", "a torch state dict of which 90 % of the tensors are frozen"),
    ):
        _, grown, one = _trained(scene, kind, VERSIONS)
        work = f"{VERSIONS} checkpoints of a file of 256 MB, {what}: growth of .git"
        floor = "one version; 1.3 of it are new bytes"
        yield Line(f"versions/{kind}", work, floor, Spread((one,)), Spread((grown,)), "MB", 1.35)


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
