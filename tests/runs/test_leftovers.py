"""Commits of archived runs are removed: a gc makes no thousands of files of them; what anything else needs stays."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import builder
import pytest

from gittrack.core import layout
from gittrack.git import discarding, maintenance, objects, snapshot
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives, archiving, leftovers, reader, unarchiving
from gittrack.runs.annotations import Author
from gittrack.runs.index import open_index

ANN = Author("Ann <ann@example.org>", builder.T0, "archive")
Git = Callable[..., str]
HERE = str(Path(builder.__file__).parent)
POINTS = 40


def runs(store: Repository, count: int, first: int = 0) -> list[str]:
    """Runs of three commits each."""
    made = (
        builder.journal(n, {"seed": n}, [1 / (1 + step) for step in range(POINTS)]) for n in range(first, first + count)
    )
    return builder.write_runs(store, made, cuts=3)


def chains(store: Repository) -> dict[str, list[str]]:
    """Run -> its commits, the first one first."""
    found = {}
    for ref, tip in store.refs(layout.RUNS).items():
        listed = store.git.lines("rev-list", "--reverse", tip)
        found[ref.rpartition("/")[2]] = listed
    return found


def settle(store: Repository) -> None:
    """As if what was written were older: what somebody has just written is left alone."""
    for path in Path(store.paths.common_dir, "objects").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 10,) * 2)


def sweep(store: Repository) -> discarding.Discarded:
    settle(store)
    done = leftovers.sweep(store)
    assert done is not None
    return done


def swept(store: Repository, seconds: float = 60) -> None:
    """Wait for the process that a command has left behind."""
    until = time.monotonic() + seconds
    while leftovers.is_due(store.paths):
        assert time.monotonic() < until, "nobody removes what is left over"
        time.sleep(0.05)
    with lock_of_sweeper(store):
        pass


@contextlib.contextmanager
def lock_of_sweeper(store: Repository) -> Iterator[None]:
    """While no process removes anything, nor begins to."""
    with open(Path(store.paths.common_dir, "track", "archiver.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def loose(git: Git) -> int:
    return int(git("count-objects").split()[0])


def here(git: Git) -> set[str]:
    return set(git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").splitlines())


def whole(git: Git) -> None:
    done = git("fsck", "--full", "--strict", "--no-dangling")
    assert "missing" not in done and "broken" not in done, done


def test_after_archiving_hundreds_a_gc_leaves_no_files_of_their_commits(
    repo: Path, store: Repository, git: Git, track: Any
) -> None:
    ids = runs(store, 250)
    every = chains(store)
    git("gc", "-q")
    settle(store)
    git("config", "gc.cruftPacks", "false")
    track("archive", "--all", "--yes")
    assert store.refs(layout.RUNS) == {}
    swept(store)
    git("gc", "-q")
    assert loose(git) < 50
    assert not here(git) & {oid for chain in every.values() for oid in chain}
    whole(git)
    assert not leftovers.is_due(store.paths)
    fresh = builder.opened(repo)
    assert len(reader.series(fresh, reader.read(fresh, ids[3]), "loss")) == POINTS
    track("unarchive", ids[3])
    assert git("rev-list", "--reverse", layout.run_ref(ids[3])).split() == every[ids[3]]
    track("unarchive", *ids)
    assert chains(builder.opened(repo)) == every
    whole(git)


def test_no_command_waits_until_what_is_left_over_is_removed(store: Repository, track: Any) -> None:
    *ids, last = runs(store, 201)
    with lock_of_sweeper(store):  # its process finds another one at it, and ends
        track("archive", *ids, "--yes")
        assert leftovers.is_due(store.paths)
    settle(store)
    track("archive", last)
    swept(store)


def test_nothing_is_due_after_a_few_runs_and_what_is_noted_adds_up(store: Repository, git: Git) -> None:
    for first in range(0, 180, 60):
        assert not leftovers.is_due(store.paths)
        archiving.archive(store, runs(store, 60, first), ANN)
    assert leftovers.is_due(store.paths)
    assert sweep(store).gone == 540
    assert not leftovers.is_due(store.paths)
    assert sweep(store).gone == 0


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("how", ["branch", "reflog", "worktree", "tag", "commit of nobody", "merge"])
def test_what_the_user_needs_stays_with_all_before_it(
    repo: Path, store: Repository, git: Git, tmp_path: Path, how: str, packed: bool
) -> None:
    ids = runs(store, 4)
    every = chains(store)
    wanted = every[ids[0]][1]
    if how == "branch":
        git("branch", "mine", wanted)
    elif how == "reflog":
        git("branch", "--create-reflog", "mine", wanted)
        git("branch", "-f", "mine", "main")
    elif how == "worktree":
        git("worktree", "add", "-q", "--detach", str(tmp_path / "other"), wanted)
    elif how == "tag":
        git("tag", "-a", "-m", "mine", "mine", wanted)
        git("update-ref", "-d", "refs/tags/mine")
    elif how == "merge":
        (repo / ".git/MERGE_HEAD").write_text(f"{wanted}\n")
    else:
        git("commit-tree", "-p", wanted, "-m", "mine", f"{wanted}^{{tree}}")
    archiving.archive(store, ids, ANN)
    if packed:
        maintenance.tidy(store.git, force=True)
    sweep(store)
    gone = {oid for run in ids for oid in every[run]} - here(git)
    assert gone == {oid for run in ids for oid in every[run]} - set(every[ids[0]][:2])
    whole(git)


def test_a_commit_of_the_user_that_an_archive_calls_a_run_stays(store: Repository, git: Git) -> None:
    (run_id,) = runs(store, 1)
    users = git("commit-tree", "-m", "mine", "-m", f"Track-Run: {run_id}", "HEAD^{tree}")
    data = store.read(users)[1]
    tip = store.refs(layout.RUNS)[layout.run_ref(run_id)]
    archiving.archive(store, [run_id], ANN)
    forged = builder.run_id(77)
    (ref, records), *_ = archives.tips(store, archives.RECORDS).items()
    part = archiving.archive_trees.records(store, records, {forged: [objects.Object(users, "commit", data)]}, 2)
    store.write(part.made)
    store.update_refs([RefChange(ref, records, part.tip)])
    leftovers.expect(store.paths, {forged: 1}, [])
    sweep(store)
    assert users in here(git) and tip not in here(git)


def test_commits_that_lie_in_several_packs_and_files_go_all(store: Repository, git: Git) -> None:
    ids = runs(store, 20)
    every = chains(store)
    everything = {oid for chain in every.values() for oid in chain}
    git("repack", "-adq")
    for chain in every.values():  # the later ones in another pack as well, the first in files of their own
        git("pack-objects", "-q", ".git/objects/pack/pack", text_in="".join(f"{oid}\n" for oid in chain[1:]))
        break
    archiving.archive(store, ids, ANN)
    git("repack", "-Adq")  # git writes what nothing reaches into files
    assert loose(git) >= 60
    assert sweep(store).gone == 60
    assert not here(git) & everything
    whole(git)


def test_packs_of_the_user_are_left_where_little_is_in_them_and_asked_for_again(store: Repository, git: Git) -> None:
    ids = runs(store, 10)
    git("repack", "-adq")
    (pack,) = Path(store.paths.common_dir, "objects/pack").glob("*.pack")
    archiving.archive(store, ids, ANN)
    assert sweep(store) == (0, sweep(store).left)
    assert pack.exists()
    git("repack", "-Adq")
    assert sweep(store).gone == 30
    whole(git)


@pytest.mark.parametrize("mark", [".keep", ".mtimes"])
def test_packs_that_somebody_keeps_are_left_and_forgotten(store: Repository, git: Git, mark: str) -> None:
    ids = runs(store, 20)
    for pack in Path(store.paths.common_dir, "objects/pack").glob("*.pack"):
        pack.with_suffix(mark).touch()
    archiving.archive(store, ids, ANN)
    assert sweep(store).gone == 0
    assert sweep(store) == (0, frozenset())
    assert (Path(store.paths.common_dir) / "track/leftovers").read_text() == ""


def test_a_repository_of_precious_objects_is_left_alone(store: Repository, git: Git) -> None:
    ids = runs(store, 3)
    git("config", "core.repositoryFormatVersion", "1")
    git("config", "extensions.preciousObjects", "true")
    archiving.archive(store, ids, ANN)
    before = here(git)
    assert sweep(store).gone == 0
    assert here(git) == before


def test_a_graph_of_commits_forgets_them(store: Repository, git: Git) -> None:
    ids = runs(store, 3)
    git("commit-graph", "write", "--reachable")
    archiving.archive(store, ids, ANN)
    assert sweep(store).gone == 9
    git("commit-graph", "verify")
    whole(git)


def test_a_snapshot_that_was_just_written_back_stays_for_a_day(store: Repository, git: Git) -> None:
    tree = git("rev-parse", "HEAD^{tree}")
    commit = objects.commit(tree, [git("rev-parse", "HEAD")], snapshot.AUTHOR, 0, "snapshot", store.algorithm)
    store.write([commit])
    store.update_refs([RefChange(layout.code_ref(commit.oid), None, commit.oid)])
    (run_id,) = builder.write_runs(store, [builder.journal(1, {}, [1.0], snapshot=commit.oid)])
    archiving.archive(store, [run_id], ANN)
    assert layout.code_ref(commit.oid) not in store.refs()
    assert sweep(store).gone == 1
    assert commit.oid in here(git)
    path = Path(store.paths.common_dir, "objects", commit.oid[:2], commit.oid[2:])
    os.utime(path, (time.time() - 2 * 86400,) * 2)
    assert leftovers.sweep(store) == (1, frozenset())
    assert commit.oid not in here(git)
    assert archives.restore_code(builder.opened(Path(store.paths.worktree or "")), commit.oid)
    whole(git)


def test_nothing_is_done_while_a_gc_runs_and_it_stays_due(store: Repository, git: Git) -> None:
    archiving.archive(store, runs(store, 180), ANN)
    pid = Path(store.paths.common_dir, "gc.pid")
    pid.write_text(f"{os.getpid()} {os.uname().nodename}")
    assert leftovers.sweep(store) is None
    assert leftovers.is_due(store.paths)
    pid.unlink()
    assert sweep(store).gone == 540


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import builder
from gittrack.runs import leftovers
left = int(sys.argv[2])
def counted(frame, event, arg):
    global left
    if event in ("call", "c_call") and frame.f_code.co_filename.endswith(("/discarding.py", "/repacking.py")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
store = builder.opened(Path(sys.argv[1]))
sys.setprofile(counted)
leftovers.sweep(store)
"""


def scatter(store: Repository, git: Git, first: int) -> dict[str, list[str]]:
    """Runs whose commits are in our pack, in another one, and in files, some twice."""
    ids = runs(store, 4, first)
    every = {run_id: chain for run_id, chain in chains(store).items() if run_id in ids}
    maintenance.tidy(store.git, force=True)
    a, b, c, d = (every[run_id] for run_id in ids)
    archiving.archive(store, ids, ANN)
    for some in ([a[2], b[0]], [a[0], b[2]]):
        name = git("pack-objects", "-q", ".git/objects/pack/pack", text_in="".join(f"{oid}\n" for oid in some))
        discarding.ownpacks.add(store.paths.common_dir, [f"pack-{name}"])
    for oid in (c[0], d[2], a[1]):
        data = store.read(oid)[1]
        staged = discarding.loose.stage(f"{store.paths.common_dir}/objects", objects.make("commit", data))
        discarding.loose.place([staged], False)
    settle(store)
    return every


def test_killed_at_any_point_nothing_is_broken_and_the_next_call_goes_on(
    repo: Path, store: Repository, git: Git
) -> None:
    at, killed = 1, 0
    while True:
        every = scatter(store, git, 10 * at)
        argv = [sys.executable, "-c", KILLED, str(repo), str(at), HERE]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        whole(git)
        sweep(builder.opened(repo))
        assert not here(git) & {oid for chain in every.values() for oid in chain}, at
        whole(git)
        if done.returncode == 0:
            break
        killed += 1
        at += max(5, at // 4)
    assert killed > 5


def test_a_ref_that_somebody_makes_meanwhile_gets_its_commits_back(
    store: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = runs(store, 6)
    every = chains(store)
    archiving.archive(store, ids, ANN)
    real = discarding._remove

    def slow(*args: Any) -> None:
        git("branch", "rescued", every[ids[2]][2])
        real(*args)

    monkeypatch.setattr(discarding, "_remove", slow)
    sweep(store)
    assert git("rev-list", "--reverse", "rescued").split() == every[ids[2]]
    whole(git)


READER = """
import select, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.runs import reader
from gittrack.runs.index import open_index
ids = sys.argv[3:]
print("up", flush=True)
rounds = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    store = builder.opened(Path(sys.argv[1]))
    index = open_index(store.paths)
    for record in [reader.read(store, run_id) for run_id in ids]:
        assert len(reader.series(store, record, "loss")) == 40
    index.refresh(lambda: store)
    rows = index.rows()
    assert {row.id for row in rows if row.status == "completed"} == set(ids), index.problem
    index.close()
    store.close()
    rounds += 1
    Path(sys.argv[1], "rounds").write_text("x" * rounds)
"""


def test_readers_miss_no_run_while_commits_are_removed_and_brought_back(repo: Path, store: Repository) -> None:
    ids = runs(store, 12)
    index = open_index(store.paths)
    index.refresh(lambda: store)
    index.close()
    argv = [sys.executable, "-c", READER, str(repo), HERE, *ids]
    pipe = subprocess.PIPE
    reading = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert reading.stdout is not None and reading.stdout.readline() == "up\n"
    until, rounds = time.monotonic() + 6, repo / "rounds"
    while reading.poll() is None and (time.monotonic() < until or not rounds.exists() or rounds.stat().st_size < 3):
        archiving.archive(store, ids, ANN)
        sweep(store)
        unarchiving.unarchive(store, ids, ANN)
    _, err = reading.communicate("stop\n", timeout=60)
    assert reading.returncode == 0, err


def test_a_record_that_was_opened_before_is_read_when_its_commit_is_gone(store: Repository, git: Git) -> None:
    ids = runs(store, 3)
    records = [reader.read(store, run_id) for run_id in ids]
    archiving.archive(store, ids, ANN)
    assert sweep(store).gone == 9
    fresh = builder.opened(Path(store.paths.worktree or ""))
    assert [len(reader.series(fresh, record, "loss")) for record in records] == [POINTS] * 3
    assert all(reader.environment(fresh, record) == {} for record in records)
