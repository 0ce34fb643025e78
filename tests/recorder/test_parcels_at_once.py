"""Files handed over by several at once, by one that is killed, and faster than they are stored."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from journal_reading import Events, events, held, parcel, warnings

from gittrack.record.waiting import Publisher
from gittrack.recorder import room
from gittrack.recorder.active import ActiveRun

KILLED = """
import os, sys
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
run = ActiveRun(Journal(sys.argv[1]), "0123456789abcdef0123", joined=True)
os.write(1, b"x")
run.checkpoint(1, path=sys.argv[2])
"""


def test_sigkill_during_the_copy_leaves_only_what_is_marked_as_unfinished(run_dir: Path, tmp_path: Path) -> None:
    with open(tmp_path / "model.pt", "wb") as file:
        file.truncate(4 << 30)  # read as zeros, at the speed of writing
    parcels = run_dir / "parcels"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(run_dir), str(tmp_path / "model.pt")], stdout=subprocess.PIPE
    )
    assert child.stdout is not None and child.stdout.read(1) == b"x"
    while not any(path.stat().st_size for path in parcels.glob("*.new/model.pt")):
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    (left,) = parcels.iterdir()
    size = (left / "model.pt").stat().st_size
    shutil.rmtree(left)
    assert left.suffix == ".new" and size < 4 << 30
    assert events(run_dir, "checkpoint") == []


LOOP = """
import os, sys
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
run = ActiveRun(Journal(sys.argv[1]), "0123456789abcdef0123", joined=True)
os.chdir(sys.argv[2])
for step in range(100_000):
    os.mkdir("out")
    for n in range(3):
        with open(f"out/{n}", "w") as file:
            file.write(str(step))
    run.checkpoint(step, path="out")
    for n in range(3):
        os.unlink(f"out/{n}")
    os.rmdir("out")
    os.write(1, b"%d\\n" % step)
"""


@pytest.mark.parametrize("seed", range(4))
def test_every_line_speaks_of_files_that_are_there(run_dir: Path, tmp_path: Path, seed: int) -> None:
    (tmp_path / "work").mkdir()
    child = subprocess.Popen([sys.executable, "-c", LOOP, str(run_dir), str(tmp_path / "work")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(random.Random(seed).randrange(1, 100)):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    done = [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    child.wait()
    lines = events(run_dir, "checkpoint")
    assert not done or lines[-1]["s"] >= done[-1]
    for line in lines:
        assert held(parcel(run_dir, line)) == {f"out/{n}": str(line["s"]).encode() for n in range(3)}


def hand_over(run: ActiveRun, name: str) -> None:
    for step in range(20):
        Path(name).write_text(f"{name} {step}")
        run.checkpoint(step, {name: step}, path=name)


def check_all_there(run_dir: Path, lines: Events, count: int) -> None:
    assert len({line["parcel"] for line in lines}) == len(lines) == count
    for line in lines:
        ((name, content),) = held(parcel(run_dir, line)).items()
        assert content == f"{name} {line['s']}".encode() and [*line["m"]] == [name]


def test_threads_may_checkpoint_at_once(run: ActiveRun, run_dir: Path) -> None:
    threads = [threading.Thread(target=hand_over, args=(run, f"t{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check_all_there(run_dir, events(run_dir, "checkpoint"), 160)


def test_forked_processes_may_checkpoint_at_once(run: ActiveRun, run_dir: Path) -> None:
    run.log({"loss": 1.0}, step=0)
    children = []
    for n in range(4):
        child = os.fork()
        if child == 0:
            try:
                hand_over(run, f"p{n}")
            finally:
                os._exit(0)
        children.append(child)
    hand_over(run, "parent")
    for child in children:
        os.waitpid(child, 0)
    lines = events(run_dir, "checkpoint")
    check_all_there(run_dir, lines, 100)
    assert {int(line["parcel"].split("-")[1]) for line in lines} == {os.getpid(), *children}


def test_a_handler_that_checkpoints_on_sigterm_may_interrupt_a_checkpoint(run: ActiveRun, run_dir: Path) -> None:
    """As clusters that preempt jobs make scripts do."""
    Path("model.pt").write_bytes(bytes(1 << 22))
    count = 0

    def handler(*_: object) -> None:
        nonlocal count
        count += 1
        run.checkpoint(1000 + count, path="model.pt")

    before = signal.signal(signal.SIGTERM, handler)
    try:
        for step in range(20):
            threading.Timer(0.001, os.kill, (os.getpid(), signal.SIGTERM)).start()
            run.checkpoint(step, path="model.pt")
    finally:
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()
        signal.signal(signal.SIGTERM, before)
    assert count > 0
    assert len([line for line in events(run_dir, "checkpoint") if "parcel" in line]) == 20 + count


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 1 kB of waiting parcels."""
    monkeypatch.setattr(room, "LEAST", 1000)
    monkeypatch.setattr(room, "SHARE", 0.0)


def test_a_training_that_is_faster_than_the_storer_waits_for_it(run: ActiveRun, run_dir: Path, narrow: None) -> None:
    Path("model.pt").write_bytes(bytes(900))
    done = threading.Event()
    stored: list[str] = []
    seen: list[int] = []

    def store() -> None:
        """Takes a parcel away whenever two are there: each time, the training is waiting."""
        while not done.is_set():
            whole = [path for path in (run_dir / "parcels").glob("*") if path.suffix != ".new"]
            seen.append(sum(len(bytes(900)) for _ in whole))
            if len(whole) >= 2:
                stored.append(min(whole).name)
                shutil.rmtree(min(whole))

    run.checkpoint(0, path="model.pt")
    storer = threading.Thread(target=store)
    storer.start()
    try:
        for step in range(1, 10):
            run.checkpoint(step, path="model.pt")
    finally:
        done.set()
        storer.join()
    lines = events(run_dir, "checkpoint")
    assert len(lines) == 10 and all("parcel" in line for line in lines)
    assert len(stored) >= 8 and max(seen) <= 1800


LOOKS = """
import os, sys, time
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
run = ActiveRun(Journal(sys.argv[1], "run.jsonl"), "0123456789abcdef0123", joined=True)
home = os.path.join(sys.argv[1], "parcels")
for number in range(4000):
    os.makedirs(f"{home}/1763641343{number:03d}-1-{number:04x}")
os.chdir(sys.argv[2])
open("model.bin", "wb").close()
run.checkpoint(0, path="model.bin")  # the first look asks for all sizes
looks = []
sys.addaudithook(lambda name, args: looks.append(1) if name == "os.listdir" and args[0] == home else None)
for step in range(200):
    run.checkpoint(step, path="model.bin")
print(len(looks))
"""


def test_what_waits_is_not_looked_through_at_each_checkpoint(run_dir: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", LOOKS, str(run_dir), str(tmp_path)]
    assert int(subprocess.run(argv, capture_output=True, check=True, text=True).stdout) < 100
    assert len([*run_dir.glob("parcels/*")]) == 4201


def test_a_storer_that_is_dead_is_waited_for_once(
    run: ActiveRun, run_dir: Path, narrow: None, gently: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(room, "ALONE", 0.3)
    Path("model.pt").write_bytes(bytes(2000))
    waits: list[float] = []
    real = room.sleep
    monkeypatch.setattr(room, "sleep", lambda seconds: (waits.append(seconds), real(seconds)))
    run.checkpoint(0, {"loss": 1.0}, path="model.pt")
    assert waits == []  # a first one is always let in
    run.checkpoint(1, {"loss": 0.9}, path="model.pt")
    waited = len(waits)
    assert 0.2 < sum(waits) < 2
    for step in range(2, 10):
        run.checkpoint(step, {"loss": 0.8}, path="model.pt")
    assert len(waits) == waited
    lines = events(run_dir, "checkpoint")
    assert ["parcel" in line for line in lines] == [True] + [False] * 9
    assert capsys.readouterr().err.count("not stored yet") == len(warnings(run_dir)) == 1
    shutil.rmtree(parcel(run_dir, lines[0]))
    run.checkpoint(10, path="model.pt")
    assert "parcel" in events(run_dir, "checkpoint")[-1]


@pytest.mark.parametrize(("error", "is_kept"), [("", True), ("No space left on device", False)])
def test_a_storer_that_only_reads_what_is_stored_already_is_at_work_and_one_that_fails_is_not(
    run: ActiveRun,
    run_dir: Path,
    narrow: None,
    gently: None,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
    is_kept: bool,
) -> None:
    """Nothing new comes into the store then, and no parcel goes: it says by itself how far it is."""
    monkeypatch.setattr(room, "ALONE", 0.3)
    Path("model.pt").write_bytes(bytes(2000))
    run.checkpoint(0, path="model.pt")
    over = threading.Event()

    def store() -> None:
        (waiting,) = (run_dir / "parcels").glob("[0-9]*")
        progress = Publisher(str(run_dir))
        progress.begin(waiting.name)
        progress.failed(error or None)
        for _ in range(10):
            over.wait(0.1)
            progress.done(100)
        if not over.is_set():
            shutil.rmtree(waiting)

    storer = threading.Thread(target=store)
    storer.start()
    try:
        run.checkpoint(1, path="model.pt")
    finally:
        over.set()
        storer.join()
    assert ("parcel" in events(run_dir, "checkpoint")[1]) == is_kept
