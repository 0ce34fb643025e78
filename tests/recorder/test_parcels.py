"""Files handed over with a run: copied before the call returns, whole or not at all, whatever happens to them."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journal_reading import RUN_ID, Events, events, interpreters
from small_disk import on_small_disk

from gittrack.recorder import copying, room
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.complain import WrongUse
from gittrack.recorder.journal import Journal
from gittrack.recorder.parcels import name_in_run


@pytest.fixture
def run(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ActiveRun]:
    """A run that is joined, and the training's directory as the current one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    joined = ActiveRun(Journal(str(run_dir)), RUN_ID, joined=True)
    yield joined
    joined.finish()


@pytest.fixture
def gently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")


def parcel(run_dir: Path, line: dict[str, Any]) -> Path:
    return run_dir / "parcels" / line["parcel"]


def held(folder: Path) -> dict[str, bytes | str]:
    """What is in a parcel: content by path, of links their target."""
    found: dict[str, bytes | str] = {}
    for root, folders, files in os.walk(folder):
        for path in [Path(root) / name for name in (*folders, *files)]:
            if path.is_symlink():
                found[str(path.relative_to(folder))] = os.readlink(path)
            elif path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def warnings(run_dir: Path) -> list[str]:
    return [event["text"] for event in events(run_dir, "warning")]


def test_a_checkpoint_takes_a_file_that_may_change_at_once(run: ActiveRun, run_dir: Path) -> None:
    Path("model.pt").write_bytes(b"first")
    run.checkpoint(path="model.pt", step=10, metrics={"val_loss": 0.3}, primary_metric=("val_loss", "minimize"))
    Path("model.pt").write_bytes(b"second")
    (line,) = events(run_dir, "checkpoint")
    assert [*line] == ["e", "m", "parcel", "primary", "s", "t", "w"] and line["s"] == 10
    assert held(parcel(run_dir, line)) == {"model.pt": b"first"}
    moment, pid, rest = line["parcel"].split("-")
    assert (len(moment), pid, len(rest)) == (13, str(os.getpid()), 4)


def test_the_path_may_come_first_and_the_old_order_stays(run: ActiveRun, run_dir: Path) -> None:
    Path("model.pt").write_bytes(b"1")
    run.checkpoint("model.pt")
    run.checkpoint(Path("model.pt"), {"loss": 1.0})
    run.checkpoint(3, {"loss": 0.5}, ("loss", "minimize"))
    lines = events(run_dir, "checkpoint")
    assert ["parcel" in line for line in lines] == [True, True, False]
    assert [line["s"] for line in lines] == [0, 0, 3] and [*lines[2]] == ["e", "m", "primary", "s", "t", "w"]


def test_a_folder_is_kept_with_modes_links_and_any_name(run: ActiveRun, run_dir: Path, gently: None) -> None:
    deep = Path("out/größe 🙂/" + "/".join(["d" * 200] * 10))
    deep.mkdir(parents=True)
    (deep / ("n" * 255)).write_text("deep")
    Path("out/empty").touch()
    Path("out/nothing").mkdir()
    Path("out/run.sh").write_text("#!")
    Path("out/run.sh").chmod(0o755)
    Path("out/.git").mkdir()
    Path("out/.git/HEAD").write_text("ref")
    with open(b"out/latin-\xe9", "wb") as file:
        file.write(b"bytes")
    os.symlink("run.sh", "out/link")
    os.symlink("/nowhere", "out/broken")
    os.symlink("größe 🙂", "out/folder")
    os.mkfifo("out/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("out/socket")
        run.checkpoint(1, path="out")
    (line,) = events(run_dir, "checkpoint")
    folder = parcel(run_dir, line)
    assert held(folder) == {
        "out/empty": b"",
        "out/run.sh": b"#!",
        "out/.git/HEAD": b"ref",
        os.fsdecode(b"out/latin-\xe9"): b"bytes",
        f"{deep}/{'n' * 255}": b"deep",
        "out/link": "run.sh",
        "out/broken": "/nowhere",
        "out/folder": "größe 🙂",
    }
    assert os.access(folder / "out/run.sh", os.X_OK) and not os.access(folder / "out/empty", os.X_OK)
    (warning,) = warnings(run_dir)
    assert "out/pipe is no file" in warning and "out/socket is no file" in warning


NAMES = [
    ("model.pt", "model.pt"),
    ("./out//model.pt", "out/model.pt"),
    ("out/../model.pt", "model.pt"),
    ("/tmp/out/model.pt", "model.pt"),
    ("../other/model.pt", "model.pt"),
    ("out/", "out"),
    ("..", "root"),
]


@pytest.mark.parametrize(("given", "name"), NAMES)
def test_a_file_is_called_as_it_was_given_below_the_current_directory(
    given: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/tmp")
    assert name_in_run(given.encode()).decode() == name


def test_files_of_one_name_are_told_apart_and_none_is_kept_twice(run: ActiveRun, run_dir: Path, tmp_path: Path) -> None:
    for n, folder in enumerate(("a", "b", "c")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.pt").write_text(str(n))
    Path("a").write_text("a file")
    Path("in").mkdir()
    Path("in/x").write_text("x")
    given = [
        tmp_path / "a" / "model.pt",
        tmp_path / "b" / "model.pt",
        tmp_path / "c" / "model.pt",
        "in/x",
        "in",
        "in/x",
    ]
    run.checkpoint(1, path=[*given, tmp_path / "a", "a"])
    assert held(parcel(run_dir, events(run_dir, "checkpoint")[0])) == {
        "model.pt": b"1",
        "model-2.pt": b"2",
        "in/x": b"x",
        "a/model.pt": b"0",
        "a-2": b"a file",
    }


def test_a_link_given_as_the_path_is_followed(run: ActiveRun, run_dir: Path) -> None:
    Path("epoch-3.pt").write_text("3")
    os.symlink("epoch-3.pt", "latest.pt")
    run.checkpoint(1, path="latest.pt")
    assert held(parcel(run_dir, events(run_dir, "checkpoint")[0])) == {"latest.pt": b"3"}


def test_what_is_not_there_costs_a_warning_not_the_metrics(
    run: ActiveRun, run_dir: Path, gently: None, capsys: Any
) -> None:
    for wrong in ("gone.pt", 3, "", [], ["gone.pt"], [1]):
        run.checkpoint(1, {"loss": 0.5}, path=wrong)
    lines = events(run_dir, "checkpoint")
    assert len(lines) == 6 and not any("parcel" in line for line in lines)
    assert warnings(run_dir)[0] == "checkpoint: gone.pt does not exist"
    said = capsys.readouterr().err
    assert said.count("gone.pt") == 1 and said.count("takes" if "takes" in said else "path is a path") == 3
    assert [*(run_dir / "parcels").iterdir()] == []


def test_strictly_the_trouble_is_raised_after_it_was_recorded(run: ActiveRun, run_dir: Path) -> None:
    with pytest.raises(WrongUse, match="does not exist"):
        run.checkpoint(1, {"loss": 0.5}, path="gone.pt")
    assert len(events(run_dir, "checkpoint")) == 1


def test_a_file_that_cannot_be_read_is_left_out(under: Any) -> None:
    """By a user who is not root; what pytest makes is for its own user alone."""
    code = """
import gittrack, os
run = gittrack.init()
run.log({"loss": 1.0}, step=0)
os.chdir(os.environ["GITTRACK_RUN_DIR"] + "/..")
if os.getuid() == 0:
    for path in (".", "live"):
        os.chmod(path, 0o777)
    os.setuid(65534)
os.mkdir("out"); open("out/open", "w").close(); open("out/shut", "w").close(); os.chmod("out/shut", 0)
os.mkdir("out/folder"); os.chmod("out/folder", 0)
run.checkpoint(1, path="out")
os.chmod("out/folder", 0o700)
"""
    with tempfile.TemporaryDirectory() as place:
        live = Path(place) / "live"
        live.mkdir()
        starter = Journal(str(live), "run.jsonl")
        starter.event("start", run={"id": RUN_ID}, goals={})
        done = under(code, GITTRACK_RUN_DIR=str(live), GITTRACK_STRICT="0", GITTRACK_AUTOLOG="0")
        starter.close()
        assert held(parcel(live, events(live, "checkpoint")[0])) == {"out/open": b""}, done.stderr
    assert "out/shut cannot be read" in done.stderr and "out/folder cannot be read" in done.stderr


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


def test_after_the_end_nothing_is_copied(run: ActiveRun, run_dir: Path, gently: None, capsys: Any) -> None:
    Path("model.pt").write_text("1")
    run.checkpoint(1, path="model.pt")
    run.finish()
    for _ in range(3):
        run.checkpoint(2, path="model.pt")
        run.log_artifact("model.pt")
    assert len([*(run_dir / "parcels").iterdir()]) == 1
    assert capsys.readouterr().err.count("finished") == 3


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


EVERYTHING = """
import gittrack, os, sys
run = gittrack.init()
assert "numpy" not in sys.modules and "json" not in sys.modules
os.makedirs("out", exist_ok=True)
open("out/model", "w").close()
run.checkpoint(1, path=["out", "program.py"])
run.log_artifact("program.py", "code/it.py")
run.log_text("hello", "notes.txt")
run.log_table([{"a": 1, "b": "x,y"}, {"a": 2}], "rows")
run.log_histogram([0.0, 0.5, 1.0], "h", bins=2)
"""


@pytest.mark.parametrize("version", interpreters())
def test_every_supported_interpreter_hands_over_files(under: Any, run_dir: Path, version: str) -> None:
    under(EVERYTHING, python=interpreters()[version])
    (line,) = events(run_dir, "checkpoint")
    assert [*held(parcel(run_dir, line))] == ["program.py", "out/model"]
    assert [(one["kind"], one["name"]) for one in events(run_dir, "artifact")] == [
        ("file", "code/it.py"), ("text", "notes.txt"), ("table", "rows.csv"), ("histogram", "h.json")
    ]  # fmt: skip
