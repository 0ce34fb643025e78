"""What `log` has returned for is in the file: whatever is killed, forked, closed or full."""

import contextlib
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from journal_reading import RUN_ID, events
from small_disk import on_small_disk

from gittrack.recorder.journal import Journal

LOOP = """
import os, sys
from gittrack.recorder.journal import Journal
journal = Journal(sys.argv[1])
step = 0
while True:
    journal.metrics({"loss": 1 / (step + 1), "val/acc": step}, step)
    os.write(1, b"%d\\n" % step)
    step += 1
"""


@pytest.mark.parametrize("seed", range(8))
def test_every_acknowledged_point_outlives_sigkill(tmp_path: Path, seed: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", LOOP, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(random.Random(seed).randrange(1, 3000)):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    acknowledged = [*child.stdout.read().splitlines(keepends=True)]
    child.wait()
    steps = [line["s"] for line in events(tmp_path, "m")]
    last = max((int(line) for line in acknowledged if line.endswith(b"\n")), default=0)
    assert steps[: last + 1] == list(range(last + 1))


def log_many(run_dir: str, name: str, count: int) -> None:
    journal = Journal(run_dir)
    for step in range(count):
        journal.metrics({name: step}, step)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_that_log_at_once_lose_nothing(run_dir: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    count = 16 if method == "fork" else 4
    workers = [context.Process(target=log_many, args=(str(run_dir), f"w{n}", 500)) for n in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(list(run_dir.glob("*.jsonl"))) == 1 + count
    for n in range(count):
        assert [line["s"] for line in events(run_dir, "m") if f"w{n}" in line["m"]] == list(range(500))


def test_a_forked_child_goes_on_in_its_own_file(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "run.jsonl")
    for step in range(10):
        journal.metrics({"loss": 0.5}, step)
    child = os.fork()
    if child == 0:
        journal.metrics({"loss": 1.5})
        journal.metrics({"loss": 2.5}, 50)
        os._exit(0)
    os.waitpid(child, 0)
    journal.metrics({"loss": 0.5})
    mine, theirs = sorted(tmp_path.glob("*.jsonl"), key=lambda path: path.name != "run.jsonl")
    first = json.loads(theirs.read_text().splitlines()[0])
    assert (first["pid"], first["ppid"]) == (child, os.getpid())
    assert [json.loads(line)["s"] for line in theirs.read_text().splitlines()[1:]] == [10, 50]
    assert [json.loads(line)["s"] for line in mine.read_text().splitlines()[1:]] == list(range(11))
    journal.close()


def test_threads_write_whole_lines_to_one_file(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    gate = threading.Barrier(8)

    def work(name: str) -> None:
        gate.wait()  # all come to the unopened file at once
        for step in range(500):
            journal.metrics({name: step, "long" * 20: 0.1}, step)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(list(tmp_path.iterdir())) == 1
    assert len(events(tmp_path, "m")) == 8 * 500


LOADER = """
import gittrack, torch
from torch.utils.data import DataLoader, Dataset
class Data(Dataset):
    def __len__(self): return 8
    def __getitem__(self, n):
        gittrack.current_run().log({"item": n}, step=n)
        return n
if __name__ == "__main__":
    run = gittrack.init()
    run.log({"loss": 1.0}, step=0)
    for method, workers in (("fork", 2), ("spawn", 1)):
        assert len(list(DataLoader(Data(), num_workers=workers, multiprocessing_context=method))) == 8
    run.log({"loss": 0.5}, step=1)
"""


def test_workers_of_a_data_loader_log_to_the_run(under: Any, run_dir: Path) -> None:
    pytest.importorskip("torch")
    under(LOADER)
    assert sorted(line["m"]["item"] for line in events(run_dir, "m") if "item" in line["m"]) == sorted([*range(8)] * 2)
    assert [line["s"] for line in events(run_dir, "m") if "loss" in line["m"]] == [0, 1]


FULL = """
import os, sys
from gittrack.recorder.journal import Journal
journal = Journal(sys.argv[1])
for step in range(5000):
    journal.metrics({"loss": step}, step)
full = os.stat(os.path.join(sys.argv[1], journal.name)).st_size
os.unlink(os.path.join(sys.argv[1], "filler"))
for step in range(5000, 5010):
    journal.metrics({"loss": step}, step)
sys.stdout.write(open(os.path.join(sys.argv[1], journal.name)).read())
"""


def test_a_full_disk_costs_one_warning_and_the_points_it_had_no_room_for(tmp_path: Path) -> None:
    done = on_small_disk(tmp_path, "64k", 20000, FULL)
    assert done.stderr.count("No space left") == done.stderr.count("gittrack:") == 1
    parsed = []
    for line in done.stdout.split("\n")[:-1]:
        with contextlib.suppress(ValueError):  # the torn one
            parsed.append(json.loads(line))
    assert len(parsed) >= done.stdout.count("\n") - 1
    steps = [line["s"] for line in parsed if "m" in line]
    kept = len(steps) - 10
    assert 100 < kept < 5000 and steps == [*range(kept), *range(5000, 5010)]
    (warning,) = [line for line in parsed if line.get("e") == "warning"]
    assert str(5000 - kept) in warning["text"]


BARELY = """
import os, sys
from gittrack.recorder.journal import Journal
journal = Journal(sys.argv[1])
for step in range(3):
    journal.metrics({"loss": 1}, step)
print(os.listdir(sys.argv[1]))
"""


def test_a_full_disk_at_the_start_leaves_no_half_file(tmp_path: Path) -> None:
    done = on_small_disk(tmp_path, "4k", 4096, BARELY)
    assert done.stdout == "['filler']\n"
    assert done.stderr.count("gittrack:") == 1


LIMITED = """
import os, resource, signal, sys
from gittrack.recorder.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(sys.argv[1])
for step in range(100):
    if step == 50:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, resource.RLIM_INFINITY))
    if step == 60:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.metrics({"loss": step}, step)
    SIZE = os.stat(os.path.join(sys.argv[1], journal.name)).st_size + 30
"""


def test_a_write_cut_short_spoils_no_other_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        env={**os.environ, "GITTRACK_STRICT": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    good, torn = [], []
    for line in path.read_text().split("\n")[:-1]:
        try:
            good.append(json.loads(line))
        except ValueError:
            torn.append(line)
    assert [line["s"] for line in good if "s" in line] == [*range(50), *range(60, 100)]
    assert len(torn) == 1 and torn[0].startswith('{"m":{"loss":50')


CLOSER = """
import os, sys
from gittrack.recorder.journal import Journal
journal = Journal(sys.argv[1])
journal.metrics({"loss": 0}, 0)
os.closerange(3, 4096)                       # as daemons do
other = [os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT) for _ in range(20)]
for step in range(1, 5):
    journal.metrics({"loss": step}, step)
"""


def test_a_program_that_closes_all_descriptors_goes_on_recording(tmp_path: Path) -> None:
    folder, other = tmp_path / "run", tmp_path / "other"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", CLOSER, str(folder), str(other)], check=True)
    assert [line["s"] for line in events(folder, "m")] == [0, 1, 2, 3, 4]
    assert other.read_bytes() == b""


def test_few_descriptors_are_enough(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        journal = Journal(str(tmp_path))
        journal.metrics({"a": 1}, 1)
        journal.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(events(tmp_path, "m")) == 1


def test_a_run_whose_folder_is_gone_or_closing_is_not_written_to(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("GITTRACK_STRICT", "0")
    gone = Journal(str(tmp_path / RUN_ID))
    gone.metrics({"a": 1}, 1)
    (tmp_path / "closing").touch()
    closing = Journal(str(tmp_path))
    for step in range(3):
        closing.metrics({"a": 1}, step)
    (tmp_path / "closing").unlink()
    (tmp_path / "cuts.jsonl").write_text('{"files":{},"n":0,"reason":"final","status":null,"w":1.0}\n')
    closing.metrics({"a": 1}, 1)
    for journal in (gone, closing):
        journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["cuts.jsonl"]
    assert capsys.readouterr().err.count("gittrack:") == 1


def test_a_signal_handler_may_log(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    seen = []

    def handler(*_: object) -> None:
        seen.append(1)
        journal.metrics({"signal": len(seen)})
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    try:
        for step in range(20000):
            journal.metrics({"loss": step / 3}, step)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    journal.close()
    assert seen and len(events(tmp_path, "m")) == 20000 + len(seen)
