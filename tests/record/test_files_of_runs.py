"""Files that a run hands over are kept whatever ends first: scripts under `git track run`, and runs by themselves."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from common import TRACK, wait_until

from gittrack.core import codec
from gittrack.store.local import open_local

Git = Callable[..., str]
SAVES = """
import gittrack, os, sys, time
run = gittrack.init()
for step in range(int(sys.argv[1])):
    with open("model.pt", "wb") as file:
        file.write(bytes([step]) * 2_500_000 + b"tail")
    with open("config.json", "w") as file:
        file.write('{"step": %d}' % step)
    run.checkpoint(path=["model.pt", "config.json"], step=step, metrics={"loss": 1.0 - step / 10})
os.remove("model.pt")
"""


def model(step: int) -> bytes:
    return bytes([step]) * 2_500_000 + b"tail"


def refs(git: Git) -> list[str]:
    return git("for-each-ref", "--format=%(refname)", "refs/track/runs").split()


def read(git: Git, name: str, ref: str = "") -> Any:
    return codec.loads(git("show", f"{ref or refs(git)[-1]}:{name}.json"))


def live_runs(repo: Path) -> list[str]:
    folder = repo / ".git" / "track" / "live"
    return os.listdir(folder) if folder.exists() else []


def kept(git: Git, ref: str) -> list[dict[str, Any]]:
    names = git("ls-tree", "-r", "--name-only", ref, "artifacts/").split()
    lines = [line for name in names for line in git("show", f"{ref}:{name}").splitlines()]
    return [event for event in map(json.loads, lines) if event["e"] == "kept"]


def check(repo: Path, git: Git, ref: str, steps: int) -> None:
    """All is there, once, and right; and the repository is sound."""
    found = [(line["path"], line["sha256"]) for line in kept(git, ref)]
    models = [hashlib.sha256(model(step)).hexdigest() for step in range(steps)]
    assert [digest for path, digest in found if path == "model.pt"] == models
    content = open_local(str(repo / ".git" / "track"))
    for step, digest in enumerate(models):
        assert content.read(digest, 2_500_004) == model(step)
        assert json.loads(git("show", f"{ref}:files/000/00/{step:02d}/config.json")) == {"step": step}
    assert live_runs(repo) == []
    git("fsck", "--strict")


def storers(repo: Path) -> list[psutil.Process]:
    return processes("record.storing", repo)


def processes(of: str, repo: Path) -> list[psutil.Process]:
    """Those of our helpers that work on this repository."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if any(of in part for part in line) and any(str(repo) in part for part in line):
            found.append(process)
    return found


def test_checkpoints_of_a_command_are_kept_with_it(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text(SAVES)
    done = subprocess.run(
        [TRACK, "run", sys.executable, "train.py", "4"], cwd=repo, capture_output=True, text=True, check=True
    )
    assert "8 files kept, 10.0 MB" in done.stderr and "still" not in done.stderr
    [ref] = refs(git)
    check(repo, git, ref, 4)
    assert read(git, "summary")["artifacts"]["count"] == 8
    assert read(git, "summary")["checkpoints"]["count"] == 4
    for number, commit in enumerate(git("log", "--reverse", "--format=%H", "--grep=checkpoint", "-i", ref).split()):
        assert f"files/000/00/{number:02d}/config.json" in git("ls-tree", "-r", "--name-only", commit)
    wait_until(lambda: not storers(repo))


def test_a_command_without_files_starts_no_storer(repo: Path, git: Git) -> None:
    done = subprocess.run([TRACK, "run", "--json", "true"], cwd=repo, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["artifacts"] == {"count": 0, "size": 0}
    assert storers(repo) == []


def test_a_run_of_its_own_keeps_its_files(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text(SAVES)
    done = subprocess.run([sys.executable, "train.py", "3"], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    [ref] = refs(git)
    check(repo, git, ref, 3)
    assert read(git, "status")["status"] == "completed"


@pytest.mark.parametrize("given", [".", "..", ".git/track"])
def test_the_work_tree_may_be_given_but_the_repository_is_not_put_into_itself(repo: Path, git: Git, given: str) -> None:
    (repo / "sub").mkdir()
    (repo / "train.py").write_text(f"import gittrack; gittrack.init().checkpoint(path={given!r}, step=1)\n")
    subprocess.run(
        [TRACK, "run", "-q", sys.executable, repo / "train.py"], cwd=repo / "sub" if given == ".." else repo, check=True
    )
    paths = [line["path"] for line in kept(git, refs(git)[0])]
    assert not any("parcels/" in path or "objects/" in path for path in paths)
    assert ([*paths] == ["repo/README", "repo/train.py"]) == (given != ".git/track")


def test_the_store_is_not_imported_into_the_training(repo: Path) -> None:
    (repo / "train.py").write_text(
        SAVES + "print([name for name in sys.modules if name.startswith(('gittrack.store', 'pyfastcdc'))])\n"
        "print('gittrack.record.storing' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "train.py", "1"], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nFalse\n"


def test_two_runs_that_save_the_same_at_once_store_it_once(repo: Path, git: Git) -> None:
    for name in ("a", "b"):
        (repo / name).mkdir()
        (repo / name / "train.py").write_text(SAVES)
    started = [
        subprocess.Popen([TRACK, "run", "-q", sys.executable, "train.py", "5"], cwd=repo / name) for name in ("a", "b")
    ]
    assert [process.wait(60) for process in started] == [0, 0]
    for ref in refs(git):
        check(repo, git, ref, 5)
    stored = [path for path in (repo / ".git" / "track" / "objects" / "chunks").rglob("*") if path.is_file()]
    assert len(stored) == len({path.name for path in stored})
    assert sum(path.stat().st_size for path in stored) <= 5 * 2_500_004


HANGS = SAVES + "print('saved', os.getpid(), flush=True)\ntime.sleep(600)\n"


@pytest.mark.parametrize("under", ["git track run", "init"])
def test_the_training_is_killed_behind_its_last_checkpoint(repo: Path, git: Git, under: str) -> None:
    (repo / "train.py").write_text(HANGS)
    command = [sys.executable, "train.py", "3"]
    argv = [TRACK, "run", "-q", *command] if under == "git track run" else command
    process = subprocess.Popen(argv, cwd=repo, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    os.kill(int(process.stdout.readline().split()[1]), signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    if under == "init":
        subprocess.run([TRACK, "recover"], cwd=repo, check=True, capture_output=True)
    check(repo, git, refs(git)[0], 3)
    assert read(git, "status")["status"] == ("killed" if under == "git track run" else "crashed")


def test_everybody_is_killed_and_the_next_command_sees_to_it_in_the_background(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text(HANGS)
    front = subprocess.Popen(
        [TRACK, "run", "-q", sys.executable, "train.py", "6"], cwd=repo, stdout=subprocess.PIPE, text=True
    )
    assert front.stdout
    front.stdout.readline()
    family = [psutil.Process(front.pid), *psutil.Process(front.pid).children(recursive=True), *storers(repo)]
    for process in family:
        process.suspend()
    for process in family:
        process.kill()
    front.wait()
    front.stdout.close()
    subprocess.run([TRACK, "ls"], cwd=repo, check=True, capture_output=True)
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 6)
    assert read(git, "status")["status"] == "crashed"


def test_recover_keeps_the_files_before_it_returns(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text(SAVES + "os.kill(os.getpid(), 9)\n")
    subprocess.run([sys.executable, "train.py", "4"], cwd=repo, check=False)
    done = subprocess.run([TRACK, "recover"], cwd=repo, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("closed ") or live_runs(repo) == []
    check(repo, git, refs(git)[0], 4)


@pytest.mark.parametrize("victim", ["front", "keeper"])
def test_front_or_keeper_is_killed_while_files_are_kept(repo: Path, git: Git, victim: str) -> None:
    (repo / "train.py").write_text(SAVES)
    front = subprocess.Popen([TRACK, "run", "-q", sys.executable, "train.py", "8"], cwd=repo)
    [storer] = wait_until(lambda: storers(repo))
    keeper = psutil.Process(storer.ppid())
    (front if victim == "front" else keeper).kill()
    front.wait(60)
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 8)


def test_storers_are_killed_at_random_points_of_a_run(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text(SAVES.replace('    with open("model', '    time.sleep(0.25)\n    with open("model'))
    chance = random.Random(5)
    front = subprocess.Popen([TRACK, "run", "-q", sys.executable, "train.py", "30"], cwd=repo)
    kills = 0
    while front.poll() is None:
        for process in storers(repo):
            time.sleep(chance.random() * 0.2)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                kills += 1
        time.sleep(0.02)
        if kills >= 20:
            break
    assert front.wait(120) == 0
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 30)
    assert kills >= 5


LONG = """
import gittrack, os, sys, time
from gittrack.record import assistant
assistant.DELAY = 0.2
run = gittrack.init()
def save(step):
    with open("model.pt", "wb") as file:
        file.write(bytes([step]) * 2_500_000 + b"tail")
    with open("config.json", "w") as file:
        file.write('{"step": %d}' % step)
    run.checkpoint(path=["model.pt", "config.json"], step=step)
save(0)
time.sleep(1.5)
save(1)
while os.path.exists("hold"):
    time.sleep(0.05)
save(2)
if sys.argv[1] == "die":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("ending", ["end", "die"])
def test_the_helper_of_a_long_run_commits_checkpoints_with_their_files(repo: Path, git: Git, ending: str) -> None:
    (repo / "train.py").write_text(LONG)
    (repo / "hold").touch()
    process = subprocess.Popen([sys.executable, "train.py", ending], cwd=repo)
    wait_until(lambda: refs(git) and read(git, "summary")["checkpoints"]["count"] == 2)
    assert read(git, "summary")["artifacts"]["count"] == 4
    (repo / "hold").unlink()
    process.wait(60)
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 3)
    assert read(git, "status")["status"] == ("completed" if ending == "end" else "crashed")


def test_a_process_in_the_background_hands_files_over_when_the_command_has_ended(repo: Path, git: Git) -> None:
    waits = "open('joined', 'w')\nwhile not os.path.exists('over'):\n    time.sleep(0.01)\n"
    (repo / "train.py").write_text(SAVES.replace("for step in", waits + "for step in"))
    script = f"{sys.executable} train.py 3 & while [ ! -e joined ] && kill -0 $!; do sleep 0.01; done"
    subprocess.run([TRACK, "run", "-q", "sh", "-c", script], cwd=repo, check=True, stdout=subprocess.DEVNULL)
    assert live_runs(repo) != []
    (repo / "over").touch()
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 3)
