"""What a purge does with code and files, when it is killed, and when the remote cannot be reached or refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import builder
import git_servers
import pytest
import team
from team import Clone

from gittrack.runs import annotations

SECRET = "sk-purge-fedcba9876543210fedcba9876"
TRAIN = """
import pathlib, random, sys
import gittrack
seed = int(sys.argv[1])
run = gittrack.init({"seed": seed})
run.log({"loss": 1.0}, step=0)
pathlib.Path("model.bin").write_bytes(random.Random(seed).randbytes(1_500_000))
run.checkpoint(path="model.bin", step=0)
pathlib.Path("model.bin").unlink()
"""


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    return path


@pytest.fixture
def ann(origin: Path, repo: Path) -> Clone:
    (repo / "train.py").write_text(TRAIN)
    clone = team.first(origin.as_uri(), repo)
    clone.git("commit", "-q", "-am", "training")
    clone.git("push", "-q")
    return clone


def trained(clone: Clone, seed: int) -> str:
    clone.track("run", sys.executable, "train.py", str(seed))
    newest: str = json.loads(clone.track("ls", "-n", "1", "--json").stdout)[0]["id"]
    return newest


def says(repository: Path, text: str) -> bool:
    """Whether any blob or commit there says `text`."""
    args = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--buffer"]
    return text.encode() in subprocess.run([*args, "--batch"], capture_output=True, check=True).stdout


def chunks(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and len(path.name) == 64}


def in_data(origin: Path) -> set[str]:
    """The keys of `refs/track/data` of a remote."""
    refs = subprocess.run(
        ["git", "-C", str(origin), "for-each-ref", "--format=%(refname)", "refs/track/data"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found: set[str] = set()
    for ref in refs:
        if ref.endswith("/list"):
            text = subprocess.run(
                ["git", "-C", str(origin), "show", f"{ref}:list"], capture_output=True, text=True, check=True
            ).stdout
            found |= {line.split()[0].rpartition("/")[2] for line in text.splitlines()[1:]}
    return found


def test_code_with_a_secret_goes_with_the_last_run_that_has_it(ann: Clone) -> None:
    (ann.path / "config.ini").write_text(f"[keys]\nname = {SECRET.replace('sk-', '')}\n")
    first, second = trained(ann, 1), trained(ann, 2)
    word = SECRET.replace("sk-", "")
    assert says(ann.path, word)
    said = ann.track("purge", first, "--yes", "--local").stdout
    assert "stays, since" in said
    assert second[:7] in said
    assert says(ann.path, word)
    assert "its code goes" in ann.track("purge", second, "--yes", "--local").stdout
    assert not says(ann.path, word)
    assert (ann.path / "config.ini").exists()
    ann.sound()


def test_code_is_taken_from_other_runs_when_it_is_asked_for(ann: Clone) -> None:
    (ann.path / "config.ini").write_text("name = lives-in-the-code\n")
    first, second = trained(ann, 1), trained(ann, 2)
    ann.track("purge", first, "--code", "--yes", "--local")
    assert not says(ann.path, "lives-in-the-code")
    assert ann.ids() == {second}
    assert "completed" in ann.track("show", second).stdout
    ann.sound()


def test_commits_of_the_user_are_never_touched(ann: Clone) -> None:
    (ann.path / "config.ini").write_text("name = lives-in-the-code\n")
    run = trained(ann, 1)
    (snapshot,) = ann.refs("refs/track/code").values()
    ann.git("branch", "rescued", snapshot)
    said = ann.track("purge", run, "--yes", "--local").stdout
    assert "rescued" in said
    assert ann.git("show", "rescued:config.ini") == "name = lives-in-the-code"
    ann.git("add", "config.ini")
    ann.git("commit", "-q", "-m", "amended later")
    clean = trained(ann, 2)
    lost = ann.git("rev-parse", "HEAD")
    ann.git("commit", "-q", "--amend", "-m", "amended")
    ann.git("reflog", "expire", "--expire=now", "--all")
    assert "it is your own commit" in ann.track("purge", clean, "--yes", "--local").stdout
    assert ann.git("cat-file", "-t", lost) == "commit"
    ann.sound()


def test_files_go_from_the_clone_and_from_the_git_remote_but_those_that_others_need(
    repo: Path, tmp_path: Path, server_of: git_servers.Find
) -> None:
    (repo / "train.py").write_text(TRAIN)
    bare = server_of("ssh").new()  # it has no git-lfs
    origin = bare.path
    ann = team.first(bare.url, repo)
    stays, leaky = trained(ann, 1), trained(ann, 2)
    ann.track("push", "--yes")
    own = ann.path / ".git/track/objects"
    before = chunks(own)
    assert before == in_data(origin)
    ann.track("purge", leaky, "--yes")
    after = chunks(own)
    assert after < before
    assert in_data(origin) == after
    again = team.cloned(bare.url, tmp_path / "again")
    again.track("pull")
    again.track("checkout", f"{stays}@0", "--artifacts", "-o", str(tmp_path / "out"), "--yes")
    assert (tmp_path / "out" / "model.bin").stat().st_size == 1_500_000


def test_what_git_lfs_has_is_named_since_it_cannot_be_deleted_there(ann: Clone) -> None:
    leaky = trained(ann, 1)
    ann.track("push", "--yes")
    said = ann.track("purge", leaky, "--yes").stdout
    assert "1 file of it is with git-lfs" in said


def test_files_go_from_a_store_of_the_settings(ann: Clone, tmp_path: Path) -> None:
    ann.git("config", "track.store", (tmp_path / "store").as_uri())
    (tmp_path / "store").mkdir()
    trained(ann, 1)
    leaky = trained(ann, 2)
    ann.track("push", "--yes")
    before = chunks(tmp_path / "store" / "chunks")
    ann.track("purge", leaky, "--yes")
    after = chunks(tmp_path / "store" / "chunks")
    assert after
    assert after < before
    assert after == chunks(ann.path / ".git/track/objects/chunks")


def test_a_remote_that_cannot_be_reached_leaves_all_here_and_the_same_command_finishes_it(
    ann: Clone, origin: Path
) -> None:
    leaky = trained(ann, 1)
    ann.track("push", "--yes")
    origin.rename(origin.with_suffix(".away"))
    failed = ann.track("purge", leaky, "--yes", code=None)
    assert failed.returncode == 84
    assert leaky in ann.ids()
    ann.track("purge", leaky, "--yes", "--local")
    assert leaky not in ann.ids()
    origin.with_suffix(".away").rename(origin)
    said = ann.track("purge", leaky, "--yes").stdout
    assert "1 ref removed" in said
    listed = subprocess.run(["git", "-C", str(origin), "for-each-ref"], capture_output=True, text=True, check=True)
    assert leaky not in listed.stdout


def test_a_run_that_goes_on_is_refused(ann: Clone) -> None:
    process = ann.start("run", sys.executable, "-c", "import sys; sys.stdin.read(); import time; time.sleep(600)")
    try:
        while not (found := json.loads(ann.track("ls", "--json").stdout)):
            pass
        done = ann.track("purge", found[0]["id"], "--yes", "--local", code=2)
        assert "still going" in done.stderr
    finally:
        team.kill(process)


KILLED = """
import os, signal, sys
left = int(sys.argv.pop(1))
def counted(frame, event, arg):
    global left
    name = frame.f_code.co_filename
    if event == "call" and ("/gittrack/share/" in name or "/gittrack/runs/burial" in name
                            or "/gittrack/git/erasing" in name or "/gittrack/git/repacking" in name
                            or "/gittrack/runs/operations" in name):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from gittrack.cli import main
sys.setprofile(counted)
sys.argv[0] = "git-track"
sys.exit(main.main())
"""


@pytest.mark.parametrize("at", [3, 12, 25, 40, 60, 80, 100, 130])
def test_killed_at_any_point_nothing_is_broken_and_the_same_command_finishes_it(
    ann: Clone, origin: Path, at: int
) -> None:
    keep = ann.runs(range(3))
    leaky = ann.runs([900], note=f"it is {SECRET}")[0]
    ann.track("archive", keep[0], leaky)
    ann.track("push", "--yes")
    ann.git("gc", "-q")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(at), "purge", leaky, "--yes"], cwd=ann.path, capture_output=True,
        check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    ann.sound()
    team.sound(origin)
    assert {run["id"] for run in ann.table()} - {leaky} == set(keep)
    ann.track("purge", leaky, "--yes")
    assert ann.ids() == set(keep)
    assert not says(ann.path, SECRET)
    ann.sound()
    subprocess.run(["git", "-C", str(origin), "gc", "-q", "--prune=now"], check=True)
    assert not says(origin, SECRET)


def test_a_tombstone_that_names_commits_of_the_user_removes_none_of_them(ann: Clone) -> None:
    """Whoever may push may write a log; what he names there need not be a run's."""
    run = ann.runs([1])[0]
    lost = ann.git("rev-parse", "HEAD")
    ann.git("commit", "-q", "--amend", "-m", "amended")
    ann.git("reflog", "expire", "--expire=now", "--all")
    repo = builder.opened(ann.path)
    author = annotations.Author("Mallory <m@example.org>", 1.0, "by hand")
    annotations.say(repo, [annotations.Saying(run, "purged", [lost, ann.git("rev-parse", "HEAD")])], author)
    repo.close()
    ann.track("purge", run, "--yes", "--local")
    assert ann.ids() == set()
    assert ann.git("cat-file", "-t", lost) == "commit"
    ann.sound()
