"""Jobs at a host, against what `ssh`, `git` and `scp` do by themselves with the same host and the same image."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Thread

from benchmarks.harness import LIMIT, Failed, Line, Spread, clocked, process
from benchmarks.host import Place, opened
from benchmarks.scene import Scene, program, write
from gittrack.core.layout import code_ref

RUN = ("git", "track", "run", "-H", "gpu1", "python3", "train.py")
STARTS, CHANGES, LATENCIES, CHECKPOINTS, JOBS = 7, 3, 3, 3, 20
SHARE = 1.5  # of the floor of a start, to which one push is added
FILES, FILE = 100, 2_000_000  # 200 MB
LINES, EARLY = 150, 20  # of console; the first ones come while both ways are being opened
CHECKPOINT = 1_000_000_000

TICKING = f"""
import time
for number in range({LINES}):
    print(time.time(), flush=True)
    time.sleep(0.04)
"""
# What torch.save writes is a zip archive of tensors, none of them compressed.
SAVING = """
import os, zipfile, gittrack
run = gittrack.init()
with zipfile.ZipFile("model.pt", "w") as archive:
    for number in range(20):
        archive.writestr(f"archive/data/{number}", os.urandom(50_000_000))
run.checkpoint(step=1, path="model.pt")
"""


def measure(scene: Scene) -> Iterator[Line]:
    problems: list[Exception] = []
    with opened(scene) as place:
        for row in (_sent, _start, _latency, _many, _checkpoint):
            try:
                yield row(place)
            except Exception as error:  # noqa: BLE001 - the other rows all the same
                problems.append(error)
    if problems:
        raise problems[0]


def _start(place: Place) -> Line:
    """The floor has its script there already; ours has to send it, so one push of the same change is added."""
    repo = place.project("hosts-start")
    place.there("mkdir -p code && git init -q --bare code.git")
    command = f"{place.docker} run --rm -v {place.home}/code:/work {place.image} python3 /work/train.py"
    environ = {**place.scene.env, "GIT_SSH_COMMAND": " ".join(place.ssh)}
    push = ["git", "push", "-q", "host:code.git", "HEAD:refs/heads/x"]
    ours, floor, pushes = [], [], []
    for turn in range(-1, STARTS):
        script = f"print('turn {turn}', flush=True)\n"
        write(os.path.join(repo, "train.py"), script)
        place.there("cat > code/train.py", script.encode())
        here = _first_line(place.scene, repo, RUN, turn)
        there = _first_line(place.scene, repo, [*place.ssh, "host", command], turn)
        place.scene.git(repo, "add", "-A")
        place.scene.git(repo, "commit", "-qm", "Another turn")
        pushed = process(push, repo, environ).wall
        if turn >= 0:
            ours.append(here * 1e3)
            floor.append(there * 1e3)
            pushes.append(pushed * 1e3)
    allowed = Spread(tuple(SHARE * there + pushed for there, pushed in zip(floor, pushes, strict=True)))
    note = (
        f"`ssh HOST docker run` alone {Spread(tuple(floor)).median:.0f} ms, push {Spread(tuple(pushes)).median:.0f} ms"
    )
    work = "second `git track run -H` of a changed script, until its first line"
    words = "1.5 × `ssh HOST docker run` of the same image + one `git push`"
    return Line("hosts/start", work, words, allowed, Spread(tuple(ours)), "ms", 1.0, note=note)


def _sent(place: Place) -> Line:
    """Either way, the pack and the line that says which ref is to be what."""
    scene = place.scene
    repo, bare, lines = _large(scene)
    send = program("send_code.py", "host")
    old = process(send, repo, scene.env).output.split()[1].decode()
    scene.git(repo, "push", "-q", bare, f"{old}:{code_ref(old)}")
    ours, floor, packs = [], [], []
    for turn in range(CHANGES):
        lines[turn * 100] = f"learning_rate = {turn}\n"
        write(os.path.join(repo, "train.py"), "".join(lines))
        size, new = process(send, repo, scene.env).output.decode().split()
        change = ["commit-tree", "-p", old, "-m", "Snapshot of the work tree", f"{new}^{{tree}}"]
        commit = scene.git(repo, *change).decode().strip()
        pack = ["pack-objects", "-q", "--revs", "--thin", "--delta-base-offset", "--stdout"]
        packs.append(float(len(scene.git(repo, *pack, given=f"{commit}\n^{old}\n".encode()))))
        floor.append(_pushed(scene, repo, bare, commit))
        ours.append(float(size))
        old = commit
    shutil.rmtree(repo)
    work = f"sent for a changed line, uncommitted, in a repository of {FILES * FILE // 10**6} MB"
    note = f"the pack alone has {Spread(tuple(packs)).median:.0f} bytes"
    words = "`git push` of a commit with that change"
    return Line("hosts/sent", work, words, Spread(tuple(floor)), Spread(tuple(ours)), "bytes", 1.1, note=note)


def _large(scene: Scene) -> tuple[str, str, list[str]]:
    """A repository, an empty one to push to, and the lines of its script."""
    repo = scene.folder("hosts-sent")
    scene.git(repo, "init", "-q")
    for number in range(FILES):
        with open(os.path.join(repo, f"data{number}"), "wb") as file:
            file.write(os.urandom(FILE))
    lines = [f"learning_rate_{number} = {os.urandom(8).hex()!r}\n" for number in range(2000)]
    write(os.path.join(repo, "train.py"), "".join(lines))
    scene.git(repo, "add", "-A")
    scene.git(repo, "commit", "-qm", "A large project")
    bare = scene.folder("hosts-sent.git")
    scene.git(bare, "init", "-q", "--bare")
    return repo, bare, lines


def _pushed(scene: Scene, repo: str, bare: str, commit: str) -> float:
    """Bytes that git sends."""
    sent, counted = os.path.join(scene.root, "hosts-sent.bytes"), os.path.join(scene.root, "hosts-counted")
    write(counted, f"#!/bin/sh\ntee {sent} | git receive-pack {bare}\n")
    os.chmod(counted, 0o755)
    scene.git(repo, "-c", "protocol.ext.allow=always", "push", "-q", f"ext::{counted}", f"{commit}:{code_ref(commit)}")
    return float(os.path.getsize(sent))


def _latency(place: Place) -> Line:
    """One container, whose lines say when they were printed; both ways watch it at once."""
    repo = place.project("hosts-latency")
    write(os.path.join(repo, "train.py"), TICKING)
    ours, floor = [], []
    for _ in range(LATENCIES):
        delays: dict[str, list[float]] = {}
        with subprocess.Popen(
            RUN, cwd=repo, env=place.scene.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as run:
            assert run.stdout is not None
            run.stdout.readline()
            name = place.there(f"{place.docker} ps -q --filter label=gittrack.run").split()[0].decode()
            command = f"{place.docker} logs -f --tail 1 {name}"
            with subprocess.Popen([*place.ssh, "host", command], env=place.scene.env, stdout=subprocess.PIPE) as logs:
                watched = [Thread(target=_watch, args=(each, delays)) for each in (run, logs)]
                for thread in watched:
                    thread.start()
                for thread in watched:
                    thread.join()
        if min(map(len, delays.values())) < LINES // 2:
            raise Failed(f"too few lines were seen by both: { {name: len(each) for name, each in delays.items()} }")
        ours.append(Spread(tuple(delays["git"][EARLY:])).median)
        floor.append(Spread(tuple(delays["ssh"][EARLY:])).median)
    work = "a line of console, from the container to this machine"
    return Line(
        "hosts/console", work, "`ssh HOST docker logs -f`", Spread(tuple(floor)), Spread(tuple(ours)), "ms", 1.2
    )


def _checkpoint(place: Place) -> Line:
    """Both bring the same file; ours by the command of a clone that does not know the run yet."""
    repo = place.project("hosts-checkpoint")
    write(os.path.join(repo, "train.py"), SAVING)
    place.scene.git(repo, "add", "-A")
    place.scene.git(repo, "commit", "-qm", "A training")
    process(["git", "track", "run", "-H", "gpu1", "-d", "python3", "train.py"], repo, place.scene.env)
    (run,) = json.loads(process(["git", "track", "ls", "--json"], repo, place.scene.env).output)
    place.there(f"{place.docker} wait gittrack-{run['id']}")
    (digest,) = place.there(f"ls .gittrack/jobs/{run['id']}/run/files").decode().split()
    source = f".gittrack/jobs/{run['id']}/run/files/{digest}"
    works: list[Callable[[], float]] = [lambda: _copied(place, source), lambda: _fetched(place, repo)]
    figures: list[list[float]] = [[], []]
    for turn in range(-1, CHECKPOINTS):
        for work, taken in zip(works, figures, strict=True):
            subprocess.run(["sync"], check=True)
            taken += [work()] if turn >= 0 else [work()][1:]
    floor, ours = (Spread(tuple(taken)) for taken in figures)
    work_done = "a checkpoint of 1 GB back, `git track fetch HOST`"
    return Line("hosts/checkpoint", work_done, "`scp` of the same file", floor, ours, "s", 1.3)


def _copied(place: Place, source: str) -> float:
    """To where nothing is yet, as ours: over an older copy it would need no memory of the kernel's anew."""
    target = os.path.join(place.scene.root, "scp")
    took = process(["scp", "-O", "-q", *place.ssh[1:], f"host:{source}", target], place.scene.root, place.scene.env)
    os.unlink(target)
    return took.wall


def _fetched(place: Place, repo: str) -> float:
    clone = place.scene.folder("hosts-clone")
    place.scene.git(clone, "clone", "-q", repo, ".")
    shutil.copy(os.path.join(repo, "gittrack.yaml"), clone)
    took = process(["git", "track", "fetch", "gpu1"], clone, place.scene.env).wall
    (run,) = json.loads(process(["git", "track", "ls", "--json"], clone, place.scene.env).output)
    if run["status"] != "completed":
        raise Failed(f"the run is {run['status']}")
    kept = process(["git", "track", "cat", f"{run['id']}:model.pt"], clone, place.scene.env).output
    if len(kept) < CHECKPOINT:
        raise Failed(f"{len(kept)} bytes came")
    shutil.rmtree(clone)
    return took


def _many(place: Place) -> Line:
    repo = place.project("hosts-many")
    write(os.path.join(repo, "train.py"), "import sys\nprint(sys.argv[1])\n")
    place.scene.git(repo, "add", "-A")
    place.scene.git(repo, "commit", "-qm", "A training")
    with tempfile.TemporaryFile() as said:
        took = clocked(lambda: _started_at_once(place, repo, said.fileno()))
        said.seek(0)
        text = said.read().decode(errors="replace")
    rows = json.loads(process(["git", "track", "ls", "--json", "-n", "100"], repo, place.scene.env).output)
    recorded = sum(row["status"] == "completed" for row in rows)
    place.scene.git(repo, "fsck", "--strict")
    if recorded < JOBS:
        print(text)
    work = f"{JOBS} jobs started at once, those that are not recorded as completed"
    return Line(
        "hosts/many", work, "", None, Spread((float(JOBS - recorded),)), "", 0.0, LIMIT, f"{took:.0f} s for all"
    )


def _started_at_once(place: Place, repo: str, said: int) -> None:
    jobs = [
        subprocess.Popen([*RUN, str(number)], cwd=repo, env=place.scene.env, stdout=subprocess.DEVNULL, stderr=said)
        for number in range(JOBS)
    ]
    for job in jobs:
        job.wait()


def _first_line(scene: Scene, cwd: str, argv: Sequence[str], turn: int) -> float:
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(argv, cwd=cwd, env=scene.env, stdout=subprocess.PIPE, stderr=said) as child,
    ):
        assert child.stdout is not None
        line = child.stdout.readline()
        took = time.perf_counter() - start
        child.stdout.read()
        child.wait()
        said.seek(0)
        if line != f"turn {turn}\n".encode():
            raise Failed(f"{argv[0]} printed {line!r}: {said.read()[-1000:].decode(errors='replace')}")
    return took


def _watch(child: "subprocess.Popen[bytes]", delays: dict[str, list[float]]) -> None:
    """Milliseconds from when each line was printed until it was here."""
    assert child.stdout is not None and isinstance(child.args, (tuple, list))
    found = delays.setdefault(str(child.args[0]), [])
    for line in child.stdout:
        found.append((time.time() - float(line)) * 1e3)
