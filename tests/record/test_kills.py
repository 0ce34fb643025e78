"""Whoever is killed, the training goes on, what it logged is there, and the next command finds a sound repository."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from common import TRACK, wait_until

from gittrack.core import codec
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import folding

# Logs until it is told to stop; says on stdout how far it is, and in a file what has surely been logged.
SCRIPT = """
import gittrack, os, sys, time
run = gittrack.init()
print("up", os.getpid(), flush=True)
step = 0
while not os.path.exists("stop"):
    run.log({"x": step}, step=step)
    with open("logged", "w") as file:
        file.write(str(step))
    if step % 10 == 0:
        print("step", step, flush=True)
    step += 1
    time.sleep(0.001)
print("end", step, flush=True)
sys.exit(5)
"""


def git(repo: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=repo, capture_output=True, text=True, check=True).stdout


def fold(repo: Path) -> None:
    opened = open_repository(discover(str(repo), os.environ), os.environ)
    folding.fold_dead(opened, time.time())
    opened.close()


def record(repo: Path, name: str) -> Any:
    [ref] = git(repo, "for-each-ref", "--format=%(refname)", "refs/track/runs").split()
    return codec.loads(git(repo, "show", f"{ref}:{name}.json"))


def console(repo: Path) -> str:
    [ref] = git(repo, "for-each-ref", "--format=%(refname)", "refs/track/runs").split()
    return git(repo, "show", f"{ref}:console/000/00.log")


def live(repo: Path) -> list[str]:
    return os.listdir(repo / ".git" / "track" / "live")


def is_over(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_stuck(pipe: IO[bytes]) -> bool:
    """Whether nothing more comes into a pipe that nobody reads."""
    sizes = set()
    for _ in range(10):
        sizes.add(bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))))
        time.sleep(0.05)
    return len(sizes) == 1 and sizes != {bytes(4)}


class Running:
    """A training under `git track run`, and its three processes."""

    def __init__(self, repo: Path) -> None:
        (repo / "train.py").write_text(SCRIPT)
        self.repo = repo
        self.front = subprocess.Popen(
            [TRACK, "run", "-q", sys.executable, "train.py"], cwd=repo, stdout=subprocess.PIPE, text=True
        )
        assert self.front.stdout
        self.training = psutil.Process(int(self.front.stdout.readline().split()[1]))
        [self.keeper] = psutil.Process(self.front.pid).children()
        assert self.training.ppid() == self.keeper.pid

    def stop(self) -> None:
        (self.repo / "stop").touch()

    def logged(self) -> int:
        text = (self.repo / "logged").read_text() if (self.repo / "logged").exists() else ""
        return int(text or 0)

    def go_on(self) -> None:
        """Wait until the training has made some more steps."""
        before = self.logged()
        wait_until(lambda: self.logged() > before + 50)


@pytest.fixture
def running(repo: Path) -> Running:
    return Running(repo)


def test_the_front_process_is_killed(running: Running, repo: Path) -> None:
    running.front.kill()
    running.front.wait()
    running.go_on()
    running.stop()
    wait_until(lambda: not live(repo))
    status = record(repo, "status")
    assert (status["status"], status["exit_code"]) == ("failed", 5)
    steps = record(repo, "summary")["metrics"]["x"]["count"]
    assert f"end {steps}" in console(repo) and console(repo).startswith("up ")
    assert running.front.stdout and f"end {steps}\n" in running.front.stdout.read()


def test_the_front_process_is_killed_and_nobody_reads_the_output_any_more(running: Running, repo: Path) -> None:
    running.front.kill()
    running.front.wait()
    assert running.front.stdout
    running.front.stdout.close()
    running.go_on()
    running.stop()
    wait_until(lambda: not live(repo))
    assert record(repo, "status")["exit_code"] == 5 and "end " in console(repo)


def test_the_front_process_is_killed_with_output_in_hand_that_is_still_recorded(repo: Path) -> None:
    script = "import sys\nfor n in range(16384): sys.stdout.write(f'{n:063d}\\n'); sys.stdout.flush()\n"
    front = subprocess.Popen([TRACK, "run", "-q", sys.executable, "-c", script], cwd=repo, stdout=subprocess.PIPE)
    assert front.stdout
    front.stdout.read(64)

    wait_until(lambda: is_stuck(front.stdout))  # it cannot hand on what it has read from the command
    front.kill()
    front.wait()
    front.stdout.read()
    wait_until(lambda: not live(repo))
    assert console(repo).split() == [f"{n:063d}" for n in range(16384)]


def test_the_keeper_is_killed(running: Running, repo: Path) -> None:
    running.keeper.kill()
    running.go_on()
    assert running.training.is_running()
    running.stop()
    assert running.front.wait(60) == (5 if sys.platform == "linux" else 70)
    assert live(repo) == []
    steps = record(repo, "summary")["metrics"]["x"]["count"]
    assert running.front.stdout and f"end {steps}\n" in running.front.stdout.read()
    assert f"end {steps}" in console(repo)
    assert record(repo, "status")["status"] == ("failed" if sys.platform == "linux" else "crashed")


def test_the_training_is_killed(running: Running, repo: Path) -> None:
    running.go_on()
    running.training.kill()
    assert running.front.wait(60) == -signal.SIGKILL
    assert record(repo, "status")["signal"] == "SIGKILL"
    assert record(repo, "summary")["metrics"]["x"]["last"] >= running.logged()


def test_front_and_keeper_are_killed(running: Running, repo: Path) -> None:
    running.go_on()
    for process in (running.keeper, psutil.Process(running.front.pid)):
        process.kill()
    running.front.wait()
    wait_until(lambda: is_over(running.training))
    fold(repo)  # its output led nowhere, which ended it; nothing that it logged is lost
    assert live(repo) == []
    assert record(repo, "summary")["metrics"]["x"]["last"] >= running.logged()
    assert record(repo, "status")["status"] == "crashed"


def test_all_are_killed_at_random_points(repo: Path) -> None:
    chance = random.Random(20261120)
    for _ in range(12):
        (repo / "stop").unlink(missing_ok=True)
        (repo / "logged").unlink(missing_ok=True)
        running = Running(repo)
        victims = [psutil.Process(running.front.pid), running.keeper, running.training]
        time.sleep(chance.random() * 0.3)
        for process in chance.sample(victims, chance.randint(1, 3)):
            process.kill()
            time.sleep(chance.random() * 0.02)
        running.stop()
        running.front.wait(60)
        for process in (running.training, running.keeper):
            wait_until(lambda process=process: is_over(process))
        wait_until(lambda: fold(repo) or not live(repo))  # a git that the killed keeper was starting holds its locks
        assert record(repo, "summary")["metrics"]["x"]["last"] >= running.logged()
        assert record(repo, "status")["status"] in ("failed", "killed", "crashed")
        git(repo, "fsck", "--strict")
        [ref] = git(repo, "for-each-ref", "--format=%(refname)", "refs/track/runs").split()
        git(repo, "update-ref", "-d", ref)
        running.front.stdout and running.front.stdout.close()


def test_killed_while_it_starts(repo: Path) -> None:
    chance = random.Random(7)
    for _ in range(10):
        front = subprocess.Popen([TRACK, "run", "-q", "sleep", "0.05"], cwd=repo)
        time.sleep(chance.random() * 0.25)
        front.kill()
        front.wait()
    git(repo, "fsck", "--strict")
    time.sleep(0.5)
    fold(repo)
    git(repo, "fsck", "--strict")


SLOW_START = f"""
touch up
while [ ! -e go ]; do sleep 0.01; done
exec {sys.executable} -c 'import gittrack; run = gittrack.init(); [run.log({{"x": step}}) for step in range(100)]'
"""


def test_a_training_that_had_not_joined_yet_when_both_were_killed_still_does(repo: Path) -> None:
    front = subprocess.Popen([TRACK, "run", "-q", "sh", "-c", SLOW_START], cwd=repo)
    wait_until((repo / "up").exists)
    [keeper] = psutil.Process(front.pid).children()
    [training] = [child for child in keeper.children() if child.name() == "sh"]  # the keeper also runs git
    keeper.suspend()  # so that it cannot notice that the front process is gone
    front.kill()
    keeper.kill()
    front.wait()
    fold(repo)  # what the next command does: the run is not dead, its command lives
    assert len(live(repo)) == 1
    (repo / "go").touch()
    wait_until(lambda: is_over(training))
    fold(repo)
    assert record(repo, "status")["status"] == "crashed"
    assert record(repo, "summary")["metrics"]["x"]["count"] == 100
