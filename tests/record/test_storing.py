"""The process that keeps the files of a run, and what it leaves when it is killed."""

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import wait_until

from gittrack.core import codec, events
from gittrack.git.discover import Paths, discover
from gittrack.git.open import open_repository
from gittrack.record import processes, storer
from gittrack.recorder import files
from gittrack.runs import folding, live
from gittrack.store.local import open_local

BIG = 3_000_000


class Live:
    """A run of this process, with parcels that are made by hand."""

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.paths: Paths = discover(str(repo), os.environ)
        self.id, self.directory = live.create(self.paths)
        self._file: files.File | None = files.create(self.directory, "run.jsonl")
        self._number = 0
        self.write(e="start", run=self._facts(), goals={})

    def write(self, **event: Any) -> None:
        assert self._file
        os.write(self._file.fd, codec.dumps({**event, "t": 0.5, "w": time.time()}))

    def parcel(self, contents: dict[str, bytes], name: str | None = None, line: bool = True) -> str:
        self._number += 1
        name = name or f"{1_763_641_343_000 + self._number:013d}-{os.getpid()}-{self._number:04x}"
        folder = Path(live.parcel(self.directory, name))
        for path, data in contents.items():
            target = Path(f"{folder}.new") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        os.rename(f"{folder}.new", folder)
        if line:
            self.write(e="checkpoint", m={}, parcel=name, primary=None, s=self._number)
        return name

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        found = []
        for journal in live.process_files(self.directory):
            data = Path(self.directory, journal).read_bytes()
            found += [event for event in events.parse_lines(data) if event.get("e") in kinds]
        return found

    def read(self, kept: dict[str, Any]) -> bytes:
        if kept["in"] == "git":
            return Path(live.blob(self.directory, kept["sha256"])).read_bytes()
        return open_local(live.track_dir(self.paths)).read(kept["sha256"], kept["size"])

    def end(self, die: bool = False) -> None:
        """Let the run end, properly or not."""
        if not die:
            self.write(e="end", code=0, reason=None, signal=None, status="completed")
        assert self._file
        files.close(self._file.fd)
        self._file = None

    def _facts(self) -> dict[str, Any]:
        return {
            "argv": ["python", "train.py"], "base": None, "command": "python train.py", "continues": None,
            "created": codec.format_time(time.time()), "cwd": ".", "experiment": None, "gittrack": "0.1.0",
            "host": "box", "id": self.id, "left_out": [], "name": None, "note": None, "notebook": None,
            "parent": None, "snapshot": None, "state": None, "tags": [],
            "user": {"email": "ann@example.org", "name": "Ann"}, "writer": "0" * 16,
        }  # fmt: skip


@pytest.fixture
def run(repo: Path) -> Live:
    return Live(repo)


def keep(run: Live, code: int = 0) -> None:
    """A storer that keeps what is there, as a process of its own."""
    process = storer.start(run.paths, run.directory)
    assert process is not None and process.wait(60) == code


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def test_small_files_go_to_git_and_large_ones_to_the_store(run: Live) -> None:
    contents = {"config.json": b"{}", "model.pt": noise(BIG), "empty": b"", "data/tokens.bin": noise(BIG, 1)}
    name = run.parcel(contents)
    keep(run)
    kept = {line["path"]: line for line in run.lines("kept")}
    assert {path: line["in"] for path, line in kept.items()} == {
        "config.json": "git", "model.pt": "store", "empty": "git", "data/tokens.bin": "store",
    }  # fmt: skip
    for path, data in contents.items():
        line = kept[path]
        assert (line["sha256"], line["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (line["mode"], line["parcel"]) == ("100644", name) and run.read(line) == data
    [parcel] = run.lines("parcel")
    assert (parcel["files"], parcel["size"], parcel["left_out"]) == (4, 2 * BIG + 2, [])
    assert live.parcels(run.directory) == []


def test_lines_are_as_the_format_says(run: Live) -> None:
    run.parcel({"a.txt": b"a"})
    keep(run)
    [journal] = [name for name in live.process_files(run.directory) if name != "run.jsonl"]
    first, *lines = Path(run.directory, journal).read_text().splitlines()
    assert json.loads(first)["e"] == "process"
    assert [list(json.loads(line)) for line in lines] == [
        ["e", "in", "mode", "parcel", "path", "sha256", "size", "t", "w"],
        ["e", "files", "left_out", "parcel", "size", "t", "w"],
    ]
    assert all(events.is_sound(json.loads(line)) for line in lines)


def test_modes_links_and_what_is_no_file(run: Live) -> None:
    name = run.parcel({"run.sh": b"#!/bin/sh\n", "secret": b"s"}, line=False)
    folder = Path(live.parcel(run.directory, name))
    (folder / "run.sh").chmod(0o755)
    (folder / "latest").symlink_to("run.sh")
    (folder / "secret").chmod(0)
    (folder / "nobody").symlink_to("/nowhere")
    os.mkfifo(folder / "pipe")
    keep(run)
    kept = {line["path"]: line for line in run.lines("kept")}
    assert {path: line["mode"] for path, line in kept.items()} == {
        "run.sh": "100755", "latest": "120000", "nobody": "120000", "secret": "100644",
    }  # fmt: skip
    assert run.read(kept["latest"]) == b"run.sh" and run.read(kept["nobody"]) == b"/nowhere"
    [parcel] = run.lines("parcel")
    assert parcel["left_out"] == [{"path": "pipe", "reason": "is no file, folder or link"}]


def test_paths_that_git_refuses_go_to_the_store(run: Live) -> None:
    run.parcel({"repo/.git/config": b"x", "sub/.GIT/hooks/a": b"y", "sub/.gitignore": b"z", "git/config": b"w"})
    keep(run)
    assert {line["path"]: line["in"] for line in run.lines("kept")} == {
        "repo/.git/config": "store", "sub/.GIT/hooks/a": "store", "sub/.gitignore": "store", "git/config": "git",
    }  # fmt: skip


def test_names_that_are_no_text(run: Live) -> None:
    name = run.parcel({"ü.txt": b"u"}, line=False)
    with open(os.path.join(os.fsencode(live.parcel(run.directory, name)), b"\xff.bin"), "wb") as file:
        file.write(b"raw")
    keep(run)
    assert [line["path"] for line in run.lines("kept")] == ["ü.txt", b"\xff.bin"]


def test_git_gets_only_so_many_files_of_a_parcel(run: Live) -> None:
    run.parcel({f"{number:05d}": b"%d" % number for number in range(1003)})
    keep(run)
    where = [line["in"] for line in run.lines("kept")]
    assert where == ["git"] * 1000 + ["store"] * 3


def test_a_setting_says_how_large_a_file_of_git_may_be(run: Live, git: Callable[..., str]) -> None:
    git("config", "track.large", "10")
    run.parcel({"a": b"x" * 10, "b": b"x" * 11})
    keep(run)
    assert [line["in"] for line in run.lines("kept")] == ["git", "store"]


def test_a_setting_names_files_that_git_never_gets(run: Live, git: Callable[..., str]) -> None:
    git("config", "track.stored", "*.pt, train/*.png")
    run.parcel(dict.fromkeys(("a.pt", "deep/b.pt", "b.pt.txt", "train/x.png", "eval/x.png"), b"small"))
    keep(run)
    assert {line["path"]: line["in"] for line in run.lines("kept")} == {
        "a.pt": "store", "deep/b.pt": "store", "b.pt.txt": "git", "train/x.png": "store", "eval/x.png": "git",
    }  # fmt: skip
    assert [run.read(line) for line in run.lines("kept")] == [b"small"] * 5


def test_a_parcel_that_is_not_whole_is_left_alone(run: Live) -> None:
    (Path(run.directory) / "parcels" / "1763641343001-1-0001.new").mkdir(parents=True)
    keep(run)
    assert run.lines("kept", "parcel") == [] and live.process_files(run.directory) == ["run.jsonl"]


def test_it_serves_while_the_run_goes_on_and_leaves_at_once_when_told(run: Live) -> None:
    handle = storer.Storer(run.paths, run.directory)
    handle.look()
    assert not handle.is_running()  # nothing waits
    for count in range(1, 4):
        run.parcel({"model.pt": noise(BIG, count)})
        handle.look()
        wait_until(lambda count=count: len(run.lines("parcel")) == count and not live.parcels(run.directory))
    time.sleep(0.3)
    assert handle.is_running() and len(live.process_files(run.directory)) == 2
    handle.dismiss()  # and then the run still goes on
    wait_until(lambda: not files.is_locked(os.path.join(run.directory, live.process_files(run.directory)[1])))
    handle.wait(60)
    assert not handle.is_running() and not handle.failed


def test_two_at_once_keep_everything_once(run: Live) -> None:
    for number in range(6):
        run.parcel({"model.pt": noise(BIG, number), "a": b"%d" % number})
    started = [storer.start(run.paths, run.directory) for _ in range(4)]
    assert [process.wait(60) for process in started if process] == [0] * 4
    assert len(run.lines("parcel")) == 6 and len(run.lines("kept")) == 12


def test_a_parcel_whose_lines_are_there_is_only_removed(run: Live) -> None:
    name = run.parcel({"a": b"a", "b": noise(BIG)})
    keep(run)
    run.parcel({"a": b"a", "b": noise(BIG)}, name, line=False)  # killed before it was removed
    keep(run)
    assert len(run.lines("kept")) == 2 and len(run.lines("parcel")) == 1 and live.parcels(run.directory) == []


def test_lines_that_came_through_before_the_disk_was_full_are_not_written_again(run: Live) -> None:
    name = run.parcel({"a": b"a", "b": b"b"})
    keep(run)
    [journal] = [name for name in live.process_files(run.directory) if name != "run.jsonl"]
    whole = Path(run.directory, journal).read_bytes().splitlines(keepends=True)
    Path(run.directory, journal).write_bytes(b"".join(whole[:2]) + whole[2][:20])
    run.parcel({"a": b"a", "b": b"b"}, name, line=False)
    keep(run)
    assert [line["path"] for line in run.lines("kept")] == ["a", "b"] and len(run.lines("parcel")) == 1


def commit(run: Live) -> str:
    """What the next command does; gives the ref."""
    repo = open_repository(run.paths, os.environ)
    folding.fold_dead(repo, time.time())
    repo.close()
    subprocess.run(["git", "fsck", "--strict"], cwd=run.repo, check=True)
    listed = ["git", "for-each-ref", "--format=%(refname)", "refs/track/runs"]
    [ref] = subprocess.run(listed, cwd=run.repo, capture_output=True, text=True, check=True).stdout.split()
    return ref


def test_killed_at_random_points_everything_is_kept_once(run: Live) -> None:
    chance = random.Random(20261121)
    contents = {
        run.parcel({"model.pt": noise(BIG, number), "log.txt": b"%d" % number, "all": b"same"}): number
        for number in range(40)
    }
    kills, left, longest = 0, len(contents), 0.06
    while left:
        process = storer.start(run.paths, run.directory)
        assert process is not None
        wait_until(lambda process=process: storer.is_at_work(run.directory) or process.poll() is not None)
        time.sleep(chance.random() * longest)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        before, left = left, len(live.parcels(run.directory))
        longest = 0.06 if left < before else longest * 1.5  # a busy machine may need more to get anything done
    assert kills >= 20
    kept = run.lines("kept")
    assert len(kept) == len({(line["parcel"], line["path"]) for line in kept}) == 120
    assert sorted(line["parcel"] for line in run.lines("parcel")) == sorted(contents)
    for line in kept:
        number = contents[line["parcel"]]
        expected = {"model.pt": noise(BIG, number), "log.txt": b"%d" % number, "all": b"same"}
        assert run.read(line) == expected[line["path"]]
    stored = [path for path in Path(live.track_dir(run.paths), "objects", "chunks").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in stored) == 40 * BIG
    keep(run)
    run.end()
    ref = commit(run)
    shown = ["git", "ls-tree", "-r", "--name-only", ref, "files/"]
    assert len(subprocess.run(shown, cwd=run.repo, capture_output=True, text=True, check=True).stdout.split()) == 80


def test_alone_it_closes_the_run_that_has_died(run: Live) -> None:
    run.parcel({"model.pt": noise(BIG)})
    run.end(die=True)
    keep(run)
    assert not os.path.exists(run.directory)
    ref = commit(run)
    status = subprocess.run(["git", "show", f"{ref}:status.json"], cwd=run.repo, capture_output=True, check=True)
    assert codec.loads(status.stdout)["status"] == "crashed"


def test_it_does_not_close_a_run_that_goes_on(run: Live) -> None:
    run.parcel({"model.pt": noise(BIG)})
    keep(run)
    assert os.path.exists(run.directory) and len(run.lines("parcel")) == 1


def test_a_full_disk_is_said_once_and_waited_for(run: Live) -> None:
    """A limit on the size of files refuses writing as a full disk does, and can be lifted from outside."""
    run.parcel({"model.pt": noise(BIG)})
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))\n"
    argv = [sys.executable, "-c", limited + processes.code("storing"), run.directory, *run.paths[:2], str(run.repo)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE)
    wait_until(lambda: run.lines("warning"))
    time.sleep(3)
    assert len(live.parcels(run.directory)) == 1 and process.poll() is None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: run.lines("parcel"))
    process.communicate(b".")
    assert process.returncode == 0 and len(run.lines("warning")) == 1
    [kept] = run.lines("kept")
    assert run.read(kept) == noise(BIG)


def test_a_storer_that_cannot_do_its_work_leaves_when_it_is_told(run: Live) -> None:
    run.parcel({"model.pt": noise(BIG)})
    blocked = Path(live.track_dir(run.paths), "objects")
    blocked.write_text("not a folder")
    handle = storer.Storer(run.paths, run.directory)
    handle.look()
    handle.dismiss()
    wait_until(lambda: not handle.is_running())
    assert handle.failed and len(live.parcels(run.directory)) == 1
    assert handle.error()
    blocked.unlink()
    keep(run)
    assert len(run.lines("parcel")) == 1
