"""Files are copied before the call returns, whole or not at all, whatever happens to them meanwhile."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from journal_reading import events, held, parcel, warnings
from small_disk import on_small_disk

from gittrack.recorder import copying
from gittrack.recorder.active import ActiveRun


@pytest.mark.parametrize("how", ["grows", "shrinks", "is rewritten"])
def test_a_file_that_changes_meanwhile_is_kept_and_said_to_have_changed(
    run: ActiveRun, run_dir: Path, gently: None, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Each time the kernel has copied some of it."""
    Path("log").write_bytes(b"begin\n" * 1000)
    copied: list[int] = []

    def copy(source: int, target: int, count: int) -> int:
        copied.append(os.copy_file_range(source, target, 1000))
        if how == "grows":
            with open("log", "ab") as file:
                file.write(b"more\n")
        elif how == "shrinks":
            os.truncate("log", os.path.getsize("log") - 100)
        else:
            Path("log").write_bytes(b"BEGIN\n" * 1000)
        return copied[-1]

    monkeypatch.setattr(copying, "_clone", lambda _fd, _out: False)
    monkeypatch.setattr(copying, "_range", copy)
    run.checkpoint(1, path="log")
    kept = held(parcel(run_dir, events(run_dir, "checkpoint")[0]))["log"]
    assert isinstance(kept, bytes) and kept[:3000].upper() == b"BEGIN\n" * 500
    assert sum(copied) > len(kept) >= 3000, "it was read again, and what was read first is not in it"
    assert warnings(run_dir) == ["checkpoint: log changed while it was being saved, and is kept as it was read"]


def test_a_file_that_changes_once_is_read_again(run: ActiveRun, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("log").write_bytes(b"first" * 1000)

    def copy(source: int, target: int, count: int) -> int:
        if Path("log").read_bytes().startswith(b"first"):
            Path("log").write_bytes(b"second, and longer" * 1000)
        return os.copy_file_range(source, target, count)

    monkeypatch.setattr(copying, "_clone", lambda _fd, _out: False)
    monkeypatch.setattr(copying, "_range", copy)
    run.checkpoint(1, path="log")
    kept = held(parcel(run_dir, events(run_dir, "checkpoint")[0]))
    assert kept == {"log": b"second, and longer" * 1000} and warnings(run_dir) == []


def test_a_file_that_shrinks_and_grows_never_raises(run: ActiveRun, run_dir: Path, gently: None) -> None:
    stop = threading.Event()
    Path("cache").write_bytes(bytes(1 << 20))

    def change() -> None:
        while not stop.is_set():
            os.truncate("cache", random.randrange(1 << 22))

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for step in range(20):
            run.checkpoint(step, path="cache")
    finally:
        stop.set()
        writer.join()
    assert len([line for line in events(run_dir, "checkpoint") if "parcel" in line]) == 20
    assert all("changed while" in warning for warning in warnings(run_dir))


def test_files_that_vanish_meanwhile_are_left_out(run: ActiveRun, run_dir: Path, gently: None) -> None:
    Path("out").mkdir()
    for n in range(3000):
        Path(f"out/{n:04}").write_text(str(n))

    def delete() -> None:
        for n in reversed(range(3000)):
            os.unlink(f"out/{n:04}")

    deleter = threading.Thread(target=delete)
    deleter.start()
    run.checkpoint(1, path="out")
    deleter.join()
    (line,) = events(run_dir, "checkpoint")
    kept = held(parcel(run_dir, line)) if "parcel" in line else {}
    assert all(content == str(int(name[4:])).encode() for name, content in kept.items())
    assert len(kept) == 3000 or "vanished" in warnings(run_dir)[0] or "no file" in warnings(run_dir)[0]


WAYS: dict[str, dict[str, Any]] = {
    "cloned or by copy_file_range": {},
    "by sendfile": {"_range": None},
    "by read and write": {"_range": None, "_send": None},
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_of_copying_give_the_same(
    run: ActiveRun, run_dir: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for name, value in WAYS[way].items():
        monkeypatch.setattr(copying, name, value)
    data = os.urandom((5 << 20) + 17)
    Path("data").write_bytes(data)
    run.checkpoint(1, path=["data", "/proc/self/status"])  # whose size is said to be 0
    kept = held(parcel(run_dir, events(run_dir, "checkpoint")[0]))
    assert kept["data"] == data and b"Pid:" in kept["status"]  # type: ignore[operator]


CLONE = """
import os, sys
sys.path.insert(0, sys.argv[2])
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
os.chdir(sys.argv[1])
with open("model.pt", "wb") as file:
    file.write(os.urandom(1 << 20) * 100)
os.sync()
before = os.statvfs(".").f_bfree
os.mkdir("run")
run = ActiveRun(Journal("run", "run.jsonl"), "0123456789abcdef0123")
run.checkpoint(1, path="model.pt")
os.sync()
used = (before - os.statvfs(".").f_bfree) * os.statvfs(".").f_frsize
(kept,) = [os.path.join(root, name) for root, _, names in os.walk("run/parcels") for name in names]
assert open(kept, "rb").read() == open("model.pt", "rb").read()
with open("model.pt", "r+b") as file:
    file.write(b"changed")
assert open(kept, "rb").read(7) != b"changed"
print(used)
"""


def test_blocks_are_shared_where_the_file_system_can(tmp_path: Path) -> None:
    """On a file system made for it; where none can be made, that the copy is one."""
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(320 << 20)
    script = 'mkfs.xfs -q "$1" && mount -o loop "$1" "$2" && exec "$3" -c "$4" "$2" "$5"'
    package = str(Path(copying.__file__).parents[2])
    args = [str(image), str(place), sys.executable, CLONE, package]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *args], capture_output=True, text=True, check=False
    )
    if done.stdout:
        assert int(done.stdout) < 10 << 20, "a clone takes no room"
    else:
        subprocess.run([sys.executable, "-c", CLONE, str(place), package], check=True)


FULL = """
import os, sys
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.journal import Journal
os.chdir(sys.argv[1])
run = ActiveRun(Journal(sys.argv[1], "run.jsonl"), "0123456789abcdef0123")
os.mkdir("out")
for n in range(4):
    with open(f"out/{n}", "wb") as file:
        file.write(bytes(100_000))
for step in range(3):
    run.checkpoint(step, {"loss": 1.0}, path="out")
    run.log_text("x" * 600_000, "notes.txt")
assert not os.listdir("parcels"), os.listdir("parcels")
os.unlink("filler")
run.checkpoint(3, path="out")
run.finish()
print(open("run.jsonl").read())
"""


def test_on_a_full_disk_the_training_goes_on_and_nothing_half_is_left(tmp_path: Path) -> None:
    done = on_small_disk(tmp_path, "1200k", 500_000, FULL)
    assert done.stderr.count("gittrack:") == 2 and done.stderr.count("No space left") == 2, done.stderr
    lines = done.stdout.splitlines()
    checkpoints = [line for line in lines if line.startswith('{"e":"checkpoint"')]
    assert ['"parcel"' in line for line in checkpoints] == [False, False, False, True]
