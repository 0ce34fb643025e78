"""Many processes and one ref; processes that are killed while they hold its lock."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.git import objects, reflock
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange, Repository

RUN = "refs/track/runs/aa/1"
EMPTY = objects.tree({})

# A writer that moves one ref on from wherever it is, and counts how often it was the one who did.
CONTENDER = """
import os, sys
from gittrack import errors
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange

path, backend, name, wanted = sys.argv[1:]
repo = open_repository(discover(path, {}), os.environ, backend)
sys.stdin.readline()
won = lost = 0
while won < int(wanted):
    old = repo.refs("refs/track/runs/").get("refs/track/runs/aa/1")
    new = objects.commit(objects.tree({}).oid, [old] if old else [], "A <a@b>", won, f"{name} {won} {lost}")
    repo.write([new])
    try:
        repo.update_refs([RefChange("refs/track/runs/aa/1", old, new.oid)])
        won += 1
    except errors.RefConflict:
        lost += 1
print(lost)
"""

# A writer that moves two refs for ever, and says when it has begun.
WRITER = """
import os, sys
from gittrack.git import objects
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange

path, backend, seed = sys.argv[1:]
repo = open_repository(discover(path, {}), os.environ, backend)
for number in range(10**9):
    bulk = [objects.blob(f"{seed} {number} {part}".encode()) for part in range(700 if number % 4 == 3 else 6)]
    tree = objects.tree({f"{part}": objects.Entry(objects.FILE, blob.oid) for part, blob in enumerate(bulk)})
    old = repo.refs("refs/track/runs/")
    run, code = "refs/track/runs/aa/1", f"refs/track/code/aa/{seed}-{number}"
    new = objects.commit(tree.oid, [old[run]] if run in old else [], "A <a@b>", number, "message")
    repo.write([*bulk, tree, new], durable=number % 3 == 0)
    repo.update_refs([RefChange(code, None, new.oid), RefChange(run, old.get(run), new.oid)])
    if number == 0:
        print("begun", flush=True)
"""


@pytest.fixture
def opened(repo: Path) -> Repository:
    found = open_repository(discover(str(repo), {}), os.environ)
    found.write([EMPTY])
    return found


def commit(repo: Repository, message: str, *parents: str) -> str:
    made = objects.commit(EMPTY.oid, list(parents), "A <a@b>", 1, message)
    repo.write([made])
    return made.oid


def test_of_concurrent_writers_exactly_one_wins_each_step(opened: Repository, repo: Path) -> None:
    wins = 8
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, str(repo), backend, f"{backend}{number}", str(wins)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(4)
        for backend in ("pygit2", "cli")
    ]
    for each in contenders:
        assert each.stdin is not None
        each.stdin.write(b"go\n")
        each.stdin.flush()
    # The user's own git takes part: packing under the writers' hands must lose nothing.
    while any(each.poll() is None for each in contenders):
        opened.git.call("pack-refs", "--all")
        time.sleep(0.02)
    lost = [int(each.communicate()[0]) for each in contenders]
    assert [each.returncode for each in contenders] == [0] * 8
    assert sum(lost) > 0, "they did not get in each other's way"
    story = opened.git.lines("log", "--format=%s", "--first-parent", opened.refs()[RUN])
    assert len(story) == len(set(story)) == 8 * wins


@pytest.mark.parametrize("backend", ["pygit2", "cli"])
def test_a_writer_killed_anywhere_leaves_a_sound_repository_and_no_lock(
    opened: Repository, repo: Path, git: Callable[..., str], backend: str
) -> None:
    rng = random.Random(20261120)
    for number in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(repo), backend, str(number)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        time.sleep(rng.uniform(0, 0.06))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        before = opened.refs()[RUN]
        after = commit(opened, f"after {number}", before)
        opened.update_refs([RefChange(RUN, before, after)])
    git("fsck", "--strict", "--no-dangling")
    assert list(Path(opened.paths.common_dir, "refs/track").rglob("*.lock")) == []


def test_locks_of_a_killed_holder_are_taken_away(opened: Repository, repo: Path) -> None:
    """The moment between locking and renaming, held still: what a SIGKILL there leaves of libgit2's work."""
    code = "refs/track/code/bb/2"
    holder = f"""
import os, signal
from gittrack.git import reflock
from gittrack.git.discover import discover
with reflock.held(discover({str(repo)!r}, {{}}), [{code!r}, {RUN!r}]):
    for ref in ({code!r}, {RUN!r}):
        place = {str(repo)!r} + "/.git/" + ref + ".lock"
        os.makedirs(os.path.dirname(place))
        open(place, "x").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", holder], check=False)
    lock = Path(opened.paths.common_dir, RUN + ".lock")
    assert lock.exists()
    oid = commit(opened, "one")
    opened.update_refs([RefChange(RUN, None, oid)])
    assert opened.refs()[RUN] == oid
    assert not lock.exists()
    assert not Path(opened.paths.common_dir, code + ".lock").exists()


def test_a_lock_that_a_dead_holder_did_not_make_is_left_alone(opened: Repository, repo: Path) -> None:
    """It announced the ref and died; since then a git of the user, which may still live, has locked it."""
    holder = f"""
import os, signal
from gittrack.git import reflock
from gittrack.git.discover import discover
with reflock.held(discover({str(repo)!r}, {{}}), [{RUN!r}]):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", holder], check=False)
    lock = Path(opened.paths.common_dir, RUN + ".lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, (time.time() + 60,) * 2)
    with pytest.raises(errors.RefConflict):
        opened.update_refs([RefChange(RUN, None, commit(opened, "one"))])
    assert lock.exists()


def test_a_git_that_outlives_its_killed_parent_keeps_its_locks(opened: Repository, repo: Path, tmp_path: Path) -> None:
    """A hook holds git still after it has locked the ref: by then the process that started it is dead."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    hook = repo / ".git/hooks/reference-transaction"
    hook.write_text(f"#!/bin/sh\ntest $1 = prepared || exit 0\necho x >{begun}\nread x <{go}\n")
    hook.chmod(0o755)
    oid = commit(opened, "one")
    program = f"""
import os
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange
open_repository(discover({str(repo)!r}, {{}}), os.environ, "cli").update_refs([RefChange({RUN!r}, None, {oid!r})])
"""
    with subprocess.Popen([sys.executable, "-c", program]) as parent:
        begun.read_text()
        parent.kill()
    second = subprocess.Popen([sys.executable, "-c", program.replace("cli", "pygit2")], stderr=subprocess.PIPE)
    lock = Path(opened.paths.common_dir, RUN + ".lock")
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for the git that is still there
        second.wait(timeout=1)
    assert lock.exists()
    go.write_text("go\n")
    assert b"RefConflict" in second.communicate(timeout=60)[1]
    assert opened.refs("refs/track/") == {RUN: oid}
    assert not lock.exists()


def test_a_failed_update_leaves_no_note_behind(opened: Repository) -> None:
    oid = commit(opened, "one")
    with pytest.raises(errors.RefConflict):
        opened.update_refs([RefChange(RUN, oid, oid)])
    assert Path(opened.paths.common_dir, "track/refs.lock").read_bytes() == b""


def test_a_child_forked_in_the_middle_does_not_keep_the_lock(opened: Repository) -> None:
    """DataLoader workers are forked whenever the training likes, and live long."""
    inside, out = os.pipe()
    with reflock.held(opened.paths, [RUN]):
        child = os.fork()
        if child == 0:
            os.close(out)
            os.read(inside, 1)  # until the parent closes its end
            os._exit(0)
    os.close(inside)
    opened.update_refs([RefChange(RUN, None, commit(opened, "one"))])  # would give up in the end
    os.close(out)
    os.waitpid(child, 0)


@pytest.mark.parametrize("backend", ["pygit2", "cli"])
def test_code_is_there_before_the_record_that_names_it(opened: Repository, repo: Path, backend: str) -> None:
    """Readers look all the time; they must never see the second ref of an update without the first."""
    other = open_repository(opened.paths, os.environ, backend)
    oid = commit(opened, "one")
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import sys
from gittrack.git import reffiles
from gittrack.git.discover import discover
paths = discover({str(repo)!r}, {{}})
print("begun", flush=True)
while True:
    runs = reffiles.read(paths, "refs/track/runs/")
    code = reffiles.read(paths, "refs/track/code/")
    missing = [ref for ref in runs if ref.replace("/runs/", "/code/") not in code]
    if missing:
        sys.exit(f"without code: {{missing}}")
    if "refs/track/runs/aa/end" in runs:
        break
""",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    for name in [*range(40), "end"]:
        names = [f"refs/track/code/aa/{name}", f"refs/track/runs/aa/{name}"]
        other.update_refs([RefChange(ref, None, oid) for ref in names])
    assert reader.communicate(timeout=60)[1] == b""
    other.close()
