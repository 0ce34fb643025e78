"""Objects that are erased are gone, everything else stays, and SIGKILL at any moment costs a second call."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from builder import opened

from gittrack.git import erasing
from gittrack.git.erasing import Erased
from gittrack.git.repository import Repository

MARK = b"secret run"
SECRET = "the password is hunter2"


def erase(repo: Path) -> Erased:
    with_objects: Repository = opened(repo)
    try:
        return erasing.erase(with_objects, lambda _, data: MARK in data, {"cafe"})
    finally:
        with_objects.close()


def objects(git: Any) -> set[str]:
    return set(git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").splitlines())


def commit(git: Any, repo: Path, message: str, files: dict[str, str], *parents: str) -> str:
    """A commit that no ref names."""
    lines = []
    for name, text in files.items():
        blob = git("hash-object", "-w", "--stdin", text_in=text)
        lines.append(f"100644 blob {blob}\t{name}")
    tree = git("mktree", text_in="".join(f"{line}\n" for line in lines))
    return str(git("commit-tree", tree, *(word for one in parents for word in ("-p", one)), "-m", message))


def whole(git: Any) -> None:
    done = git("fsck", "--strict", "--no-dangling", "--full")
    assert "missing" not in done
    assert "broken" not in done


PACKED = {
    "loose": [],
    "packed": [["repack", "-adkq"]],
    "in two packs": [["repack", "-dq", "-k"], ["repack", "-adkq"]],
    "with an index of packs": [["repack", "-adkq", "--write-midx"]],
    "with a graph": [["commit-graph", "write", "--reachable"], ["repack", "-adkq"]],
}


@pytest.fixture(params=PACKED)
def places(request: pytest.FixtureRequest) -> list[list[str]]:
    return PACKED[request.param]


def test_what_only_marked_commits_reach_is_gone_and_all_else_stays(git: Any, repo: Path, places: Any) -> None:
    head = git("rev-parse", "HEAD")
    (repo / "shared.txt").write_text("in the index\n")
    git("add", "shared.txt")
    users = commit(git, repo, "amended by the user", {"mine": "of the user", "both": "needed by both"}, head)
    marked = commit(
        git, repo, "secret run", {"env": SECRET, "both": "needed by both", "train.py": 'print("trained")'}, users
    )
    lonely = git("hash-object", "-w", "--stdin", text_in="nobody names it")
    git("update-ref", "refs/kept/one", marked)
    for args in places:
        git(*args)
    git("update-ref", "-d", "refs/kept/one")
    before = objects(git)
    blob = git("hash-object", "--stdin", text_in=SECRET)
    assert {blob, marked, users, lonely} <= before
    done = erase(repo)
    gone = before - objects(git)
    assert {blob, marked, git("hash-object", "--stdin", text_in='print("trained")')} <= gone
    assert done.objects == len(gone)
    assert users not in gone
    assert lonely not in gone
    assert git("show", f"{users}:both") == "needed by both"
    assert git("show", ":shared.txt") == "in the index"
    assert git("hash-object", "--stdin", text_in="needed by both") in done.held
    whole(git)
    for pack in (repo / ".git/objects/pack").glob("*.pack"):
        assert pack.with_suffix(".idx").exists()
    assert erase(repo).objects == 0


def test_what_is_reached_is_never_taken_even_if_it_is_marked(git: Any, repo: Path) -> None:
    marked = commit(git, repo, "secret run", {"env": SECRET})
    git("branch", "rescued", marked)
    assert erase(repo).objects == 0
    git("branch", "-D", "rescued")
    assert erase(repo).objects == 3


def test_head_index_and_reflog_of_every_work_tree_are_reached(git: Any, repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git("worktree", "add", "-q", "--detach", str(other))
    git("commit", "-q", "--allow-empty", "-m", "secret run", cwd=other)
    kept = git("rev-parse", "HEAD", cwd=other)
    git("reset", "-q", "--hard", "HEAD^", cwd=other)
    (other / "staged").write_text("staged elsewhere")
    git("add", "staged", cwd=other)
    marked = commit(git, repo, "secret run", {"staged": "staged elsewhere"})
    erase(repo)
    assert git("cat-file", "-t", kept) == "commit", "the reflog of the other work tree has it"
    assert git("show", ":staged", cwd=other) == "staged elsewhere"
    git("cat-file", "-e", marked, code=1)


def test_what_hangs_below_a_name_goes_with_the_trees_above_it(git: Any, repo: Path) -> None:
    blob = git("hash-object", "-w", "--stdin", text_in=SECRET)
    stays = git("hash-object", "-w", "--stdin", text_in="of another run")
    run = git("mktree", text_in=f"100644 blob {blob}\trun.json\n")
    other = git("mktree", text_in=f"100644 blob {stays}\trun.json\n")
    both = git("mktree", text_in=f"040000 tree {run}\tcafe\n040000 tree {other}\tfeed\n")
    top = git("mktree", text_in=f"040000 tree {both}\truns\n")
    before = objects(git)
    erase(repo)
    assert before - objects(git) == {blob, run, both, top}
    whole(git)


KILLED = """
import os, signal, sys
from gittrack.git import erasing
from builder import opened
left = int(sys.argv[2])
def counted(frame, event, arg):
    global left
    if event == "call" and "/gittrack/" in frame.f_code.co_filename:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return None
repo = opened(__import__("pathlib").Path(sys.argv[1]))
sys.setprofile(counted)
erasing.erase(repo, lambda _, data: b"secret run" in data, {"cafe"})
"""


def test_killed_at_any_point_the_next_call_finishes_it(git: Any, repo: Path, tmp_path: Path) -> None:
    head = git("rev-parse", "HEAD")
    secrets = [git("hash-object", "--stdin", text_in=f"{SECRET} {number}") for number in range(4)]
    at, killed = 1, 0
    while True:
        marked = [commit(git, repo, f"secret run {n}", {"env": f"{SECRET} {n}"}, head) for n in range(4)]
        users = commit(git, repo, "of the user", {"mine": "mine"}, marked[0])
        git("update-ref", "refs/kept/a", marked[1])
        git("update-ref", "refs/kept/b", users)
        git("repack", "-adkq")
        commit(git, repo, "secret run 9", {"env": SECRET})
        for name in ("a", "b"):
            git("update-ref", "-d", f"refs/kept/{name}")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(repo), str(at)], check=False, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "runs")},
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        whole(git)
        assert git("show", f"{users}:mine") == "mine"
        erase(repo)
        left = objects(git)
        assert secrets[0] in left, "a commit of the user needs it"
        assert not {*secrets[1:], git("hash-object", "--stdin", text_in=SECRET)} & left, at
        assert not erasing.is_unfinished(str(repo / ".git"))
        whole(git)
        if done.returncode == 0:
            break
        killed += 1
        at += max(7, at // 3)
    assert killed > 5


def test_what_somebody_is_about_to_use_stays_until_the_next_call(git: Any, repo: Path) -> None:
    marked = commit(git, repo, "secret run", {"env": SECRET})
    blob = git("hash-object", "--stdin", text_in=SECRET)
    place = repo / ".git/objects" / blob[:2] / blob[2:]
    soon = place.stat().st_mtime + 3600
    os.utime(place, (soon, soon))  # as whoever writes the same object marks it
    done = erase(repo)
    assert done.left == {blob}
    assert erasing.is_unfinished(str(repo / ".git"))
    git("cat-file", "-e", marked, code=1)
    os.utime(place, (1, 1))
    assert erase(repo).left == frozenset()
    git("cat-file", "-e", blob, code=1)
    assert not erasing.is_unfinished(str(repo / ".git"))


def test_it_waits_until_nobody_packs_objects(git: Any, repo: Path) -> None:
    commit(git, repo, "secret run", {"env": SECRET})
    (repo / ".git/track").mkdir(exist_ok=True)
    with (repo / ".git/track/tidy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=erase, args=(repo,))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        fcntl.flock(lock, fcntl.LOCK_UN)
    waiting.join(60)
    git("cat-file", "-e", git("hash-object", "--stdin", text_in=SECRET), code=1)
