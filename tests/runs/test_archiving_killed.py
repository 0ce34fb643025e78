"""SIGKILL at any moment of archiving or unarchiving: git finds nothing wrong, no run is lost, done again it is done."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import builder
import pytest

from gittrack.core import layout
from gittrack.git import reflock
from gittrack.git.discover import discover
from gittrack.git.repository import Repository
from gittrack.runs import archives, archiving, operations, unarchiving
from gittrack.runs.annotations import Author

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")
VICTIM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.git import loose, pygit_backend, writer
from gittrack.runs import archiving, operations, unarchiving
from gittrack.runs.annotations import Author
left = int(sys.argv[3])
def counted(place, name):
    work = getattr(place, name)
    def call(*args, **more):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        found = work(*args, **more)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(place, name, call)
counted(loose, "stage")
counted(loose, "place")
counted(operations, "_append")
counted(pygit_backend.PygitRepository, "_commit")
work = {"archive": archiving.archive, "unarchive": unarchiving.unarchive}[sys.argv[4]]
work(builder.opened(Path(sys.argv[1])), sys.argv[5:], Author("Ann <ann@example.org>", builder.T0, sys.argv[4]))
"""
LOOP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.runs import archiving, unarchiving
from gittrack.runs.annotations import Author
store, author = builder.opened(Path(sys.argv[1])), Author("Ann <ann@example.org>", builder.T0, "archive")
print("up", flush=True)
while True:
    archiving.archive(store, sys.argv[3:], author)
    unarchiving.unarchive(store, sys.argv[3:], author)
"""


def victim(repo: Path, after: int, what: str, ids: list[str]) -> bool:
    """Whether it was killed, before or after so many steps."""
    argv = [sys.executable, "-c", VICTIM, str(repo), str(Path(builder.__file__).parent), str(after), what, *ids]
    code = subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def check(repo: Path, ids: list[str], tips: dict[str, str]) -> None:
    """Nothing is wrong, and every run is found as it was."""
    with reflock.held(discover(str(repo), os.environ), []):
        pass  # a git that outlives us is done with the refs: fsck finds faults in what is moved under its hands
    done = subprocess.run(["git", "fsck", "--full", "--strict"], cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, "missing" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr
    store = builder.opened(repo)
    for run_id in ids:
        place = archives.find(store, run_id)
        assert place is not None and place.tip == tips[run_id]
        assert store.read_path(place.root, "run.json")
    store.close()


def is_settled(store: Repository, ids: list[str]) -> None:
    """All are in the archive, once, and in nothing else."""
    assert store.refs(layout.RUNS) == {}
    lines = [line.id for tip in archives.lists(store).values() for line in archives.lines(store, tip)]
    assert sorted(lines) == sorted(ids)
    assert all(archives.commits(store, run_id) for run_id in ids)


def test_killed_between_any_two_steps_archiving_is_completed_by_the_next(
    repo: Path, store: Repository, tmp_path: Path
) -> None:
    ids = builder.make_runs(store, 3)
    refs = store.refs(layout.RUNS)
    tips = {run_id: refs[layout.run_ref(run_id)] for run_id in ids}
    after = 0
    for after in range(100):
        shutil.copytree(repo, tmp_path / str(after))
        killed = victim(tmp_path / str(after), after, "archive", ids)
        check(tmp_path / str(after), ids, tips)
        again = builder.opened(tmp_path / str(after))
        archiving.archive(again, ids, ANN)
        is_settled(again, ids)
        if not killed:
            break
    assert after > 10


def test_killed_between_any_two_steps_unarchiving_is_completed_by_the_next(
    repo: Path, store: Repository, tmp_path: Path
) -> None:
    ids = builder.make_runs(store, 3)
    refs = store.refs(layout.RUNS)
    tips = {run_id: refs[layout.run_ref(run_id)] for run_id in ids}
    archiving.archive(store, ids, ANN)
    subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=repo, check=True)
    after = 0
    for after in range(100):
        shutil.copytree(repo, tmp_path / str(after))
        killed = victim(tmp_path / str(after), after, "unarchive", ids)
        check(tmp_path / str(after), ids, tips)
        again = builder.opened(tmp_path / str(after))
        unarchiving.unarchive(again, ids, ANN)
        assert again.refs(layout.RUNS) == refs
        if not killed:
            break
    assert after > 3


@pytest.mark.parametrize("whole_group", [True, False])
def test_killed_at_random_again_and_again_nothing_is_lost(repo: Path, store: Repository, whole_group: bool) -> None:
    """With so many runs git deletes the refs, in a process of its own, which may go on when we are dead."""
    ids = builder.make_runs(store, 60)
    refs = store.refs(layout.RUNS)
    tips = {run_id: refs[layout.run_ref(run_id)] for run_id in ids}
    chance = random.Random(7)
    for _ in range(7):
        argv = [sys.executable, "-c", LOOP, str(repo), str(Path(builder.__file__).parent), *ids]
        running = subprocess.Popen(argv, cwd=repo, stdout=subprocess.PIPE, start_new_session=True)
        assert running.stdout is not None and running.stdout.readline() == b"up\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(chance.random() * 0.5)
        assert running.poll() is None, "it ended by itself"
        os.killpg(running.pid, signal.SIGKILL) if whole_group else running.kill()
        running.wait()
        check(repo, ids, tips)
    last = builder.opened(repo)
    unarchiving.unarchive(last, ids, ANN)
    assert last.refs(layout.RUNS) == refs
    archiving.archive(last, ids, ANN)
    is_settled(last, ids)
    assert {one.outcome for one in operations.log(last)} <= {operations.DONE, operations.INTERRUPTED}
