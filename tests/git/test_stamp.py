"""A stamp must notice every way in which a ref can move. Missing one would show an old table."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gittrack.git import stamp
from gittrack.git.discover import Paths, discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange

RUN = "refs/track/runs/aa/1"
LATER = 10.0  # seconds after the last change: by then a stamp is settled


@pytest.fixture
def paths(repo: Path) -> Paths:
    return discover(str(repo), {})


def settled(paths: Paths) -> str:
    taken = stamp.take(paths, time.time() + LATER)
    assert taken.settled
    assert stamp.is_unchanged(paths, taken.text)
    return taken.text


def move(git: Callable[..., str], *lines: str) -> None:
    git("update-ref", "--stdin", text_in="".join(f"{line}\n" for line in lines))


def test_nothing_moved_is_seen_before_the_first_run_and_after(paths: Paths, git: Callable[..., str]) -> None:
    settled(paths)
    move(git, f"create {RUN} HEAD")
    settled(paths)
    git("pack-refs", "--all")
    settled(paths)


def test_every_kind_of_change_is_noticed(paths: Paths, git: Callable[..., str]) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    changes: list[Callable[[], object]] = [
        lambda: move(git, f"create {RUN} HEAD"),
        lambda: move(git, f"update {RUN} HEAD^"),
        lambda: move(git, "create refs/track/runs/aa/2 HEAD"),
        lambda: move(git, "create refs/track/runs/bb/3 HEAD"),
        lambda: move(git, "create refs/track/log/0123456789abcdef HEAD"),
        lambda: git("pack-refs", "--all"),
        lambda: move(git, f"update {RUN} HEAD"),
        lambda: git("pack-refs", "--all"),
        lambda: move(git, f"delete {RUN}"),
        lambda: move(git, "delete refs/track/runs/aa/2", "delete refs/track/runs/bb/3"),
        lambda: git("fetch", "-q", ".", "HEAD:refs/track/code/aa/1"),
        lambda: move(git, "delete refs/track/code/aa/1"),
    ]
    for change in changes:
        before = settled(paths)
        change()
        assert not stamp.is_unchanged(paths, before)


@pytest.mark.parametrize("backend", ["pygit2", "cli"])
def test_our_own_updates_are_noticed(paths: Paths, backend: str, git: Callable[..., str]) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    one, two = git("rev-parse", "HEAD", "HEAD^").split()
    repo = open_repository(paths, os.environ, backend)
    for old, new in ((None, one), (one, two), (two, one), (one, None)):
        before = settled(paths)
        repo.update_refs([RefChange(RUN, old, new)])
        assert not stamp.is_unchanged(paths, before)
    repo.close()


def test_moves_of_the_users_branches_change_nothing_while_they_are_loose(paths: Paths, git: Callable[..., str]) -> None:
    move(git, f"create {RUN} HEAD")
    before = settled(paths)
    git("commit", "-q", "--allow-empty", "-m", "second")
    git("branch", "another")
    assert stamp.is_unchanged(paths, before)


def test_a_stamp_taken_just_after_a_change_is_not_believed(paths: Paths, git: Callable[..., str]) -> None:
    move(git, f"create {RUN} HEAD")
    taken = stamp.take(paths, time.time())
    assert not taken.settled
    assert not stamp.is_unchanged(paths, taken.text)


def test_an_update_within_one_grain_of_the_clock_is_not_missed(paths: Paths, git: Callable[..., str]) -> None:
    """Where times have whole seconds a second update leaves no trace: only the age of the stamp can tell."""
    move(git, f"create {RUN} HEAD")
    directory = Path(paths.common_dir, "refs/track/runs/aa")
    second = int(time.time())
    os.utime(directory, (second, second))
    taken = stamp.take(paths, time.time())
    move(git, f"update {RUN} HEAD")
    os.utime(directory, (second, second))
    assert not stamp.is_unchanged(paths, taken.text)


def test_a_clock_that_is_ahead_is_not_believed(paths: Paths, git: Callable[..., str]) -> None:
    move(git, f"create {RUN} HEAD")
    os.utime(Path(paths.common_dir, "refs/track/runs/aa"), (time.time() + 3600,) * 2)
    assert not stamp.take(paths, time.time() + LATER).settled


def test_a_stamp_of_another_version_or_repository_is_not_believed(
    paths: Paths, tmp_path: Path, git: Callable[..., str]
) -> None:
    move(git, f"create {RUN} HEAD")
    text = settled(paths)
    for damaged in ("", "nonsense", text.split("\n")[0], "1 0\nreftable/tables.list"):
        assert not stamp.is_unchanged(paths, damaged)
    subprocess.run(["cp", "-a", paths.common_dir, str(tmp_path / "copy")], check=True)
    copied = str(tmp_path / "copy")
    assert not stamp.is_unchanged(Paths(copied, copied, None), text)


def test_a_linked_worktree_has_the_same_stamp(paths: Paths, tmp_path: Path, git: Callable[..., str]) -> None:
    move(git, f"create {RUN} HEAD")
    git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = discover(str(tmp_path / "linked"), {})
    assert stamp.is_unchanged(linked, settled(paths))


def test_a_reftable_is_watched_by_its_list_of_tables(paths: Paths) -> None:
    """git here may be too old to make one: the file is what git's documentation of the format promises."""
    tables = Path(paths.common_dir, "reftable/tables.list")
    tables.parent.mkdir()
    tables.write_text("0x000000000001-0x000000000001-abc.ref\n")
    before = settled(paths)
    replacement = tables.with_suffix(".new")
    replacement.write_text("0x000000000001-0x000000000002-abc.ref\n")
    replacement.rename(tables)
    assert not stamp.is_unchanged(paths, before)


def test_checking_costs_less_than_a_millisecond_for_a_thousand_runs(paths: Paths, git: Callable[..., str]) -> None:
    move(git, *(f"create refs/track/runs/{number % 256:02x}/{number} HEAD" for number in range(1000)))
    text = settled(paths)
    best = min(_timed(lambda: stamp.is_unchanged(paths, text)) for _ in range(50))
    assert best < 0.004, "0.8 ms measured; the margin is for a machine that does other things"


def _timed(action: Callable[[], object]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin
