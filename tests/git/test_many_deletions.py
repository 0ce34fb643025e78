"""Hundreds of refs deleted at once: packed ones by one rewrite of packed-refs, beside whatever git does meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gittrack import errors
from gittrack.git import refupdate
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange, Repository

Git = Callable[..., str]
COUNT = 200


@pytest.fixture(params=["pygit2", "cli"])
def opened(request: pytest.FixtureRequest, repo: Path) -> Iterator[Repository]:
    found = open_repository(discover(str(repo), os.environ), os.environ, request.param)
    yield found
    found.close()


@pytest.fixture
def refs(opened: Repository, git: Git) -> dict[str, str]:
    """Packed refs among which those of the user stand, an annotated tag too."""
    head = git("rev-parse", "HEAD")
    git("tag", "-a", "-m", "a tag", "v1")
    git("tag", "-a", "-m", "another one", "v2")
    found = {f"refs/track/runs/{number % 256:02x}/{number:020x}": head for number in range(COUNT)}
    opened.update_refs([RefChange(ref, None, oid) for ref, oid in found.items()])
    git("update-ref", "refs/track/tagged", git("rev-parse", "v1"))
    git("pack-refs", "--all")
    return found


def deletions(refs: dict[str, str]) -> list[RefChange]:
    return [RefChange(ref, oid, None) for ref, oid in refs.items()]


def test_they_are_gone_and_all_others_stay(opened: Repository, repo: Path, git: Git, refs: dict[str, str]) -> None:
    before = git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/heads", "refs/tags")
    inode = (repo / ".git/packed-refs").stat().st_mode
    other = git("rev-parse", "v1")
    changes = [*deletions(refs), RefChange("refs/track/tagged", other, None)]
    opened.update_refs([*changes, RefChange("refs/track/log/a", None, refs[changes[0].ref])], durable=True)
    assert list(opened.refs("refs/track/")) == ["refs/track/log/a"]
    assert git("for-each-ref", "--format=%(refname)", "refs/track").split() == ["refs/track/log/a"]
    after = git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", "refs/heads", "refs/tags")
    assert after == before
    assert (repo / ".git/packed-refs").stat().st_mode == inode
    assert not (repo / ".git/packed-refs.lock").exists()
    packed = (repo / ".git/packed-refs").read_text()
    assert packed.count("^") == 2
    assert "refs/track" not in packed
    git("fsck", "--strict")


def test_loose_ones_among_them_go_as_well(opened: Repository, repo: Path, git: Git, refs: dict[str, str]) -> None:
    commit = git("commit-tree", "HEAD^{tree}", "-m", "x")
    moved = list(refs)[:3]
    for ref in moved:
        git("update-ref", ref, commit)
    git("update-ref", "refs/track/runs/ff/loose", commit)
    now = {**refs, **dict.fromkeys(moved, commit), "refs/track/runs/ff/loose": commit}
    opened.update_refs([RefChange("refs/track/log/a", None, commit), *deletions(now)])
    assert list(opened.refs("refs/track/")) == ["refs/track/log/a", "refs/track/tagged"]
    assert git("for-each-ref", "--format=%(refname)", "refs/track").split() == ["refs/track/log/a", "refs/track/tagged"]
    assert list((repo / ".git").rglob("*.lock")) == [repo / ".git/track/refs.lock"]


@pytest.mark.parametrize("how", ["locked", "moved"])
def test_a_loose_one_that_cannot_go_keeps_all_where_they_are(
    opened: Repository, repo: Path, git: Git, refs: dict[str, str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(refupdate, "PATIENCE", 0.1)
    ref, head = "refs/track/runs/ff/loose", git("rev-parse", "HEAD")
    git("update-ref", ref, head if how == "locked" else git("commit-tree", "HEAD^{tree}", "-m", "x"))
    if how == "locked":
        (repo / f".git/{ref}.lock").touch()
    before = opened.refs("refs/track/")
    with pytest.raises(errors.RefConflict, match=ref):
        opened.update_refs([RefChange("refs/track/log/a", None, head), *deletions({**refs, ref: head})])
    assert opened.refs("refs/track/") == before
    assert not (repo / ".git/packed-refs.lock").exists()


@pytest.mark.parametrize("wrong", ["moved", "absent"])
def test_one_that_is_elsewhere_is_a_conflict_and_nothing_moves(
    opened: Repository, git: Git, refs: dict[str, str], wrong: str
) -> None:
    ref = list(refs)[100]
    args = ("-d", ref) if wrong == "absent" else (ref, git("commit-tree", "HEAD^{tree}", "-m", "x"))
    git("update-ref", *args)
    before = opened.refs("refs/track/")
    with pytest.raises(errors.RefConflict, match=ref):
        opened.update_refs([*deletions(refs), RefChange("refs/track/log/a", None, refs[ref])])
    assert opened.refs("refs/track/") == before


def test_packed_refs_locked_by_git_are_waited_for(
    opened: Repository, repo: Path, refs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = repo / ".git/packed-refs.lock"
    lock.touch()
    timer = threading.Timer(0.2, lock.unlink)
    timer.start()
    first, second = dict(list(refs.items())[:100]), dict(list(refs.items())[100:])
    opened.update_refs(deletions(first))
    timer.join()
    lock.touch()
    monkeypatch.setattr(refupdate, "PATIENCE", 0.1)
    made = RefChange("refs/track/log/a", None, next(iter(refs.values())))
    with pytest.raises(errors.RefConflict, match=r"packed-refs\.lock is held"):
        opened.update_refs([made, *deletions(second)])
    assert len(opened.refs("refs/track/runs/")) == 100
    assert opened.refs("refs/track/log/") == {}  # all or nothing
    assert lock.exists()


def test_the_lock_of_a_killed_process_is_taken_away(opened: Repository, repo: Path, refs: dict[str, str]) -> None:
    program = f"""
import os, signal
from gittrack.git import packedrefs
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange
packedrefs._without = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
repo = open_repository(discover({str(repo)!r}, os.environ), os.environ, "cli")
repo.update_refs([RefChange(ref, oid, None) for ref, oid in repo.refs("refs/track/runs/").items()])
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (repo / ".git/packed-refs.lock").exists()
    opened.update_refs(deletions(refs))
    assert opened.refs("refs/track/runs/") == {}
    assert not (repo / ".git/packed-refs.lock").exists()


def test_git_packs_and_moves_other_refs_meanwhile_and_loses_none(
    opened: Repository, repo: Path, git: Git, refs: dict[str, str]
) -> None:
    loop = "for i in 1 2 3 4 5 6 7 8; do git branch b$i; git pack-refs --all; git tag t$i; done"
    packing = subprocess.Popen(["sh", "-c", loop], cwd=repo, stderr=subprocess.PIPE)
    ours = list(refs.items())
    for at in range(0, COUNT, 100):
        opened.update_refs(deletions(dict(ours[at : at + 100])))
        opened.update_refs([RefChange(ref, None, oid) for ref, oid in ours[at : at + 100]])
        opened.update_refs(deletions(dict(ours[at : at + 100])))
    packing.communicate()
    git("pack-refs", "--all")
    assert opened.refs("refs/track/runs/") == {}
    found = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").split()
    assert set(found) == {"main", "v1", "v2", *(f"{kind}{number}" for kind in "bt" for number in range(1, 9))}


def test_an_interrupt_leaves_no_lock_behind(repo: Path, opened: Repository, git: Git, tmp_path: Path) -> None:
    """A hook of git holds it still after it has locked the refs; then the user presses Ctrl-C."""
    head = git("rev-parse", "HEAD")
    loose = {f"refs/track/runs/{number:02x}/{number:020x}": head for number in range(70)}
    opened.update_refs([RefChange(ref, None, oid) for ref, oid in loose.items()])
    there, go = tmp_path / "there", tmp_path / "go"
    os.mkfifo(go)
    hook = repo / ".git/hooks/reference-transaction"
    hook.write_text(f'#!/bin/sh\n[ "$1" = prepared ] && mkdir {there} 2>/dev/null && cat {go} >/dev/null\nexit 0\n')
    hook.chmod(0o755)
    program = f"""
import os
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import RefChange
repo = open_repository(discover({str(repo)!r}, os.environ), os.environ, "cli")
repo.update_refs([RefChange(ref, oid, None) for ref, oid in repo.refs("refs/track/runs/").items()])
"""
    running = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True)
    while not there.exists() and running.poll() is None:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    with open(go, "w"):
        pass
    _, said = running.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert list((repo / ".git/refs").rglob("*.lock")) == []
    assert opened.refs("refs/track/runs/") == {}
    git("fsck", "--strict")


def test_their_reflogs_go_with_them(repo: Path, git: Git) -> None:
    git("config", "core.logAllRefUpdates", "always")
    opened = open_repository(discover(str(repo), os.environ), os.environ, "cli")
    head = git("rev-parse", "HEAD")
    found = {f"refs/track/runs/{number % 256:02x}/{number:020x}": head for number in range(COUNT)}
    opened.update_refs([RefChange(ref, None, oid) for ref, oid in found.items()])
    git("pack-refs", "--all")
    opened.update_refs(deletions(found))
    opened.close()
    assert [path for path in (repo / ".git/logs/refs/track").rglob("*") if path.is_file()] == []
