"""Files go on to the stores of the settings behind the run, which does not wait for them to be recorded."""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import builder
import keeping
import pytest
from common import TRACK, wait_until
from test_files_of_runs import SAVES, check, kept, model, processes, read, refs
from test_real_terminal import Terminal

from gittrack.record import uploads
from gittrack.record.uploading import Uploading
from gittrack.store.content import Content
from gittrack.store.directory import DirectoryStore

Git = Callable[..., str]
STARTS = {"git track run": [TRACK, "run"], "init": []}


@pytest.fixture
def store(repo: Path, git: Git, tmp_path: Path) -> Path:
    place = tmp_path / "store"
    place.mkdir()
    git("config", "track.store", f"file://{place}")
    return place


def uploading(repo: Path) -> list[str]:
    folder = repo / ".git" / "track" / "uploads"
    return os.listdir(folder) if folder.exists() else []


def check_uploaded(git: Git, store: Path, steps: int, ref: str = "") -> None:
    content = Content(DirectoryStore(str(store)))
    found = [line for line in kept(git, ref or refs(git)[0]) if line["in"] == "store"]
    assert [content.read(line["sha256"], line["size"]) for line in found] == [model(step) for step in range(steps)]


@pytest.mark.parametrize("how", STARTS)
def test_files_are_in_the_store_when_the_command_is_over(repo: Path, git: Git, store: Path, how: str) -> None:
    (repo / "train.py").write_text(SAVES)
    done = subprocess.run(
        [*STARTS[how], sys.executable, "train.py", "3"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert "not uploaded" not in done.stderr
    check(repo, git, refs(git)[0], 3)
    check_uploaded(git, store, 3)
    assert uploading(repo) == []


@pytest.mark.parametrize("how", STARTS)
def test_a_store_that_cannot_be_written_holds_nothing_up(repo: Path, git: Git, store: Path, how: str) -> None:
    (repo / "train.py").write_text(SAVES)
    store.rmdir()
    store.write_text("not a folder")
    done = subprocess.run(
        [*STARTS[how], sys.executable, "train.py", "3"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert "of files are not uploaded: " in done.stderr and "`git track store push` does it" in done.stderr
    assert read(git, "status")["status"] == "completed"
    check(repo, git, refs(git)[0], 3)
    store.unlink()
    store.mkdir()
    subprocess.run([TRACK, "store", "push"], cwd=repo, check=True, capture_output=True)
    check_uploaded(git, store, 3)
    wait_until(lambda: uploading(repo) == [], 60)  # the process in the background has tried again as well


def test_what_is_kept_while_the_uploading_process_ends_is_uploaded_by_another(repo: Path, store: Path) -> None:
    """A storer that comes in that moment finds that somebody is at it, and starts nobody."""
    data = os.urandom(100_000)
    with contextlib.closing(builder.opened(repo)) as opened:
        run = keeping.Run(opened.paths)
        place = uploads.path(opened.paths, keeping.ID)
        os.makedirs(os.path.dirname(place))
        with open(place, "w+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ending = Uploading(opened.paths, keeping.ID, lock.fileno())
            assert ending.serve()
            uploads.begin(opened.paths, keeping.ID)
            run.keep(0, {"model.pt": data}, where="store")
            ending.leave()
    wait_until(lambda: uploading(repo) == [])
    assert Content(DirectoryStore(str(store))).read(hashlib.sha256(data).hexdigest(), len(data)) == data


def kill_the_uploading_process(repo: Path, store: Path) -> None:
    """Make a run whose files are all kept, and none of them uploaded."""
    (repo / "train.py").write_text(SAVES)
    aside = store.with_name("aside")
    store.rename(aside)
    store.write_text("not a folder")
    subprocess.run([TRACK, "run", "-q", sys.executable, "train.py", "3"], cwd=repo, check=True, capture_output=True)
    for process in processes("record.uploading", repo):
        process.kill()
    wait_until(lambda: not processes("record.uploading", repo))
    assert len(uploading(repo)) == 1
    store.unlink()
    aside.rename(store)


def test_the_uploading_process_is_killed_and_push_finishes(repo: Path, git: Git, store: Path) -> None:
    kill_the_uploading_process(repo, store)
    subprocess.run([TRACK, "store", "push"], cwd=repo, check=True, capture_output=True)
    check_uploaded(git, store, 3)
    assert uploading(repo) == []
    git("fsck", "--strict")


NEXT = {
    "git track run": [TRACK, "run", "-q", "true"],
    "init": [sys.executable, "-c", "import gittrack; gittrack.init()"],
}


@pytest.mark.parametrize("argv", [*NEXT.values(), [TRACK, "recover"]], ids=[*NEXT, "recover"])
def test_the_uploading_process_is_killed_and_the_next_run_or_recover_has_it_finished(
    repo: Path, git: Git, store: Path, argv: list[str]
) -> None:
    kill_the_uploading_process(repo, store)
    [first] = refs(git)
    subprocess.run(argv, cwd=repo, check=True, capture_output=True)
    wait_until(lambda: uploading(repo) == [])
    check_uploaded(git, store, 3, first)


def test_a_run_with_files_of_its_own_brings_what_an_earlier_one_left(repo: Path, git: Git, store: Path) -> None:
    kill_the_uploading_process(repo, store)
    [first] = refs(git)
    subprocess.run([TRACK, "run", "-q", sys.executable, "train.py", "2"], cwd=repo, check=True, capture_output=True)
    wait_until(lambda: uploading(repo) == [])
    check_uploaded(git, store, 3, first)


def test_a_run_that_is_gone_has_nothing_left_to_be_uploaded(repo: Path, git: Git, store: Path) -> None:
    kill_the_uploading_process(repo, store)
    git("update-ref", "-d", refs(git)[0])
    subprocess.run([TRACK, "recover"], cwd=repo, check=True, capture_output=True)
    wait_until(lambda: uploading(repo) == [])


@pytest.mark.parametrize("how", STARTS)
def test_the_second_interrupt_leaves_and_says_what_is_not_uploaded_yet(
    repo: Path, git: Git, store: Path, how: str
) -> None:
    git("config", "track.uploadRate", "200kB/s")
    (repo / "train.py").write_text(SAVES)
    screen = Terminal([*STARTS[how], sys.executable, "train.py", "2"], repo)
    screen.expect(b"uploading files")
    screen.type(b"\x03")
    screen.expect(b"the run is recorded; its files are being uploaded")
    screen.type(b"\x03")
    screen.expect(b"of files are not uploaded yet")
    screen.expect(b"`git track store push` finishes it")
    assert screen.end() == 0
    os.close(screen.screen)
    check(repo, git, refs(git)[0], 2)
    for process in processes("record.uploading", repo):
        process.kill()
    git("config", "--unset", "track.uploadRate")
    subprocess.run([TRACK, "store", "push"], cwd=repo, check=True)
    check_uploaded(git, store, 2)


def test_a_store_of_another_repository_is_not_said_to_be_a_matter_of_pushing(repo: Path, store: Path) -> None:
    (repo / "train.py").write_text(SAVES)
    (store / "gittrack.json").write_text('{"format": 1, "repository": "%s"}' % ("ab" * 20))
    done = subprocess.run([TRACK, "run", sys.executable, "train.py", "1"], cwd=repo, capture_output=True, text=True)
    assert "belongs to another repository" in done.stderr and "`git track store push --join`" in done.stderr
    assert "push` does it" not in done.stderr
