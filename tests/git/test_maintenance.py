"""A user's own git must not become slow, nor start a gc, because runs were recorded."""

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gittrack.git import maintenance, objects, ownpacks
from gittrack.git.discover import discover
from gittrack.git.maintenance import Tidied, tidy
from gittrack.git.objects import FILE, Entry
from gittrack.git.open import open_repository
from gittrack.git.ownpacks import OwnPack
from gittrack.git.repository import RefChange, Repository

FILES = ("run.json", "status.json", "params.json", "summary.json", "metrics/000/00.jsonl", "console/000/00.log")


@pytest.fixture(params=["pygit2", "cli"])
def opened(request: pytest.FixtureRequest, repo: Path) -> Iterator[Repository]:
    repository = open_repository(discover(str(repo), {}), os.environ, request.param)
    yield repository
    repository.close()


def record(repo: Repository, number: int) -> None:
    """A run as the fold writes one: two commits of ten new objects each."""
    ref, parent = f"refs/track/runs/{number % 256:02x}/{number:020x}", None
    for moment in range(2):
        files = {name: objects.blob(f"{name} {number} {moment}\n".encode()) for name in FILES}
        trees = objects.nested({name: Entry(FILE, blob.oid) for name, blob in files.items()})
        commit = objects.commit(trees[-1].oid, [parent] if parent else [], "A <a@b>", number, "run")
        repo.write([*files.values(), *trees, commit])
        repo.update_refs([RefChange(ref, parent, commit.oid)])
        parent = commit.oid


def counts(git: Callable[..., str]) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split(": ") for line in git("count-objects", "-v").splitlines())}


def test_a_sweep_brings_no_gc_to_the_users_commit(repo: Path, git: Callable[..., str]) -> None:
    """A third of the size at which git would start one, with a third of gc.auto: writing the files takes the time."""
    git("config", "gc.auto", "2200")
    earlier, runs = 400, 130
    oid = git("rev-parse", "HEAD")
    lines = [f"create refs/track/runs/{number % 256:02x}/earlier-{number} {oid}\n" for number in range(earlier)]
    git("update-ref", "--stdin", text_in="".join(lines))
    opened = open_repository(discover(str(repo), {}), os.environ)
    for number in range(runs):
        record(opened, number)
        if number % 10 == 9:
            tidy(opened.git)
    opened.close()
    found = counts(git)
    assert found["in-pack"] + found["count"] > 2500, "more than gc.auto allows"
    assert found["packs"] < 10
    assert found["count"] < 1200
    trace = repo.parent / "trace"
    git("commit", "-q", "--allow-empty", "-m", "the user's", GIT_TRACE2_EVENT=str(trace))
    assert "maintenance" in trace.read_text()
    assert "repack" not in trace.read_text()
    assert "pack-refs" not in trace.read_text()
    assert len(git("for-each-ref", "refs/track").splitlines()) == earlier + runs
    assert len(list((repo / ".git/refs/track").rglob("*"))) < 100
    git("fsck", "--no-dangling")


def test_nothing_is_done_when_nothing_is_due(opened: Repository, git: Callable[..., str]) -> None:
    record(opened, 1)
    before = counts(git)
    assert tidy(opened.git) == Tidied()
    assert counts(git) == before


def test_force_packs_objects_and_refs_and_everything_is_still_there(
    opened: Repository, git: Callable[..., str]
) -> None:
    for number in range(3):
        record(opened, number)
    before = opened.refs()
    done = tidy(opened.git, force=True)
    assert done.objects >= 60
    assert done.refs == 3
    assert counts(git)["count"] == 0
    assert opened.refs() == before
    assert opened.read_path(before[f"refs/track/runs/01/{1:020x}"], "run.json") == b"run.json 1 1\n"
    git("fsck", "--no-dangling")


def test_a_small_gc_auto_of_the_user_is_respected(opened: Repository, git: Callable[..., str]) -> None:
    git("config", "gc.auto", "600")
    for number in range(45):
        record(opened, number)
    assert tidy(opened.git).objects > 500


def test_what_a_gc_threw_out_is_left_to_expire(opened: Repository, git: Callable[..., str]) -> None:
    record(opened, 1)
    tidy(opened.git, force=True)
    old = objects.blob(b"nobody needs me")
    opened.write([old])
    path = Path(opened.paths.common_dir, "objects", old.oid[:2], old.oid[2:])
    os.utime(path, (1_000_000_000,) * 2)
    record(opened, 2)
    assert tidy(opened.git, force=True).objects > 0
    assert path.exists()
    assert counts(git)["count"] == 1


def test_packs_of_the_user_are_never_rewritten(opened: Repository, git: Callable[..., str]) -> None:
    record(opened, 0)
    git("repack", "-dq")
    git("repack", "-adq")
    mine = set((Path(opened.paths.common_dir) / "objects/pack").glob("*.pack"))
    for number in range(1, 6):
        record(opened, number)
        tidy(opened.git, force=True)
    assert mine <= set((Path(opened.paths.common_dir) / "objects/pack").glob("*.pack"))


def test_a_merged_pack_goes_one_call_later(opened: Repository, git: Callable[..., str]) -> None:
    record(opened, 1)
    tidy(opened.git, force=True)
    record(opened, 2)
    assert tidy(opened.git, force=True).packs == 0
    assert counts(git)["packs"] == 2
    assert tidy(opened.git).packs == 1
    assert counts(git)["packs"] == 1
    git("fsck", "--no-dangling")


def test_a_pack_is_not_removed_when_its_successor_is_gone(opened: Repository, git: Callable[..., str]) -> None:
    for number in (1, 2):
        record(opened, number)
        tidy(opened.git, force=True)
    packs = Path(opened.paths.common_dir, "objects/pack")
    lines = Path(opened.paths.common_dir, "track/packs").read_text().split("\n")
    successor = next(line for line in lines if " in " in line).split()[2]
    for path in packs.glob(f"{successor}.*"):
        path.unlink()
    tidy(opened.git)
    assert counts(git)["packs"] == 1


def test_many_packs_of_big_writes_are_merged(opened: Repository, git: Callable[..., str]) -> None:
    for number in range(10):
        opened.write([objects.blob(f"{number} {part}".encode()) for part in range(500)])
    assert counts(git)["packs"] == 10
    assert tidy(opened.git).objects >= 5000
    tidy(opened.git)
    assert counts(git)["packs"] == 1


def test_nothing_is_done_while_a_gc_runs(opened: Repository, git: Callable[..., str]) -> None:
    record(opened, 1)
    mark = Path(opened.paths.common_dir, "gc.pid")
    mark.write_text(f"{os.getpid()} {os.uname().nodename}")
    assert tidy(opened.git, force=True) == Tidied()
    mark.write_text("1 another.host")
    assert tidy(opened.git, force=True) == Tidied()
    os.utime(mark, (1, 1))
    assert tidy(opened.git, force=True).objects > 0


def test_a_gc_that_died_does_not_stop_us(opened: Repository) -> None:
    record(opened, 1)
    with subprocess.Popen(["true"]) as process:
        process.wait()
    Path(opened.paths.common_dir, "gc.pid").write_text(f"{process.pid} {os.uname().nodename}")
    assert not maintenance.gc_is_running(opened.paths.common_dir)


def test_an_object_left_empty_by_a_power_cut_does_not_stop_us(opened: Repository) -> None:
    record(opened, 1)
    empty = Path(opened.paths.common_dir, "objects/17/" + "0" * 38)
    empty.parent.mkdir(exist_ok=True)
    empty.touch()
    assert tidy(opened.git, force=True).objects >= 20


def test_runs_are_recorded_and_the_user_works_while_it_tidies(repo: Path, git: Callable[..., str]) -> None:
    paths = discover(str(repo), {})
    stop = threading.Event()
    trouble: list[BaseException] = []

    def again(action: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                action()
        except BaseException as error:  # noqa: BLE001  a thread must not swallow what the test is about
            trouble.append(error)

    tidier = open_repository(paths, os.environ)
    user = threading.Thread(target=again, args=(lambda: git("commit", "-q", "--allow-empty", "-m", "x"),))
    helper = threading.Thread(target=again, args=(lambda: tidy(tidier.git, force=True),))
    for thread in (user, helper):
        thread.start()
    opened = open_repository(paths, os.environ)
    for number in range(40):
        record(opened, number)
        if number == 20:
            git("gc", "-q")
    stop.set()
    for thread in (user, helper):
        thread.join()
    assert trouble == []
    assert len(opened.refs("refs/track/runs/")) == 40
    for ref, commit in opened.refs("refs/track/runs/").items():
        assert opened.read_path(commit, "run.json") == f"run.json {int(ref[-20:], 16)} 1\n".encode()
    git("fsck", "--no-dangling")


def test_a_torn_or_hostile_list_of_packs_is_passed_over(opened: Repository, git: Callable[..., str]) -> None:
    record(opened, 1)
    tidy(opened.git, force=True)
    listed = Path(opened.paths.common_dir, "track/packs")
    name = listed.read_text().strip()
    evil = "pack-../../../train.py in " + name
    listed.write_text(f"{evil}\npack-12\n\n{name}\n{name[:20]}")
    assert [pack.name for pack in ownpacks.of(opened.paths.common_dir)] == [name]
    assert ownpacks.remove_superseded(opened.paths.common_dir) == 0
    assert Path(str(opened.paths.worktree), "train.py").exists()


@pytest.mark.parametrize("least", [1, 90, 2700])
def test_packs_remain_few_and_are_seldom_rewritten(least: int) -> None:
    rng = random.Random(7)
    packs: list[OwnPack] = []
    made = moved = 0
    for number in range(3000):
        new = rng.randrange(least, 3000)
        made += new
        packs = sorted([*packs, OwnPack(f"pack-{number}", "", new)], key=lambda pack: pack.size)
        merged = ownpacks.to_merge(packs)
        assert merged == packs[: len(merged)]
        size = sum(pack.size for pack in merged)
        moved += size
        packs = packs[len(merged) :]
        if merged:
            packs = sorted([*packs, OwnPack(f"merged-{number}", "", size)], key=lambda pack: pack.size)
    assert sum(pack.size for pack in packs) == made
    assert len(packs) <= 35, "git starts a gc at 50"
    assert moved < 5 * made, "each object is rewritten about log8 times"


def test_a_few_small_packs_do_not_keep_many_bigger_ones_from_being_merged() -> None:
    packs = [OwnPack("small", "", 10), *(OwnPack(f"pack-{number}", "", 90) for number in range(30))]
    assert ownpacks.to_merge(packs) == packs
    assert ownpacks.to_merge([*packs, OwnPack("big", "", 9000)]) == packs
