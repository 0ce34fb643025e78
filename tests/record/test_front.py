"""The process in front, where things go otherwise than usual: streams that do not wait, orphans, faults of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from common import TRACK, wait_until

from gittrack.core import codec
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import folding

FAULTY = """
import os, sys
from gittrack.git.discover import discover
from gittrack.record import front, supervise

class Faulty(front.Pump):
    def take(self, reader):
        if self._in_front:
            raise RuntimeError("a fault of ours")
        return super().take(reader)

front.Pump = Faulty
supervise.run(supervise.Wish(sys.argv[1:], supervise.Labels(), {}), discover(os.getcwd(), os.environ), os.environ)
"""


def status(repo: Path) -> Any:
    listed = ["git", "for-each-ref", "--format=%(refname)", "refs/track/runs"]
    refs = subprocess.run(listed, cwd=repo, capture_output=True, text=True, check=True).stdout.split()
    if not refs:
        return {}
    shown = subprocess.run(["git", "show", f"{refs[0]}:status.json"], cwd=repo, capture_output=True, check=True)
    return codec.loads(shown.stdout)


def fold(repo: Path) -> None:
    opened = open_repository(discover(str(repo), os.environ), os.environ)
    folding.fold_dead(opened, time.time())
    opened.close()


def test_a_stream_that_does_not_wait_gets_all_of_the_output(repo: Path) -> None:
    """What shares a pipe or terminal with us (ssh, node) may have made it so."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    lines = "import sys\nfor n in range(100_000): sys.stdout.write('%09d\\n' % n)\n"
    with subprocess.Popen([TRACK, "run", "-q", sys.executable, "-c", lines], cwd=repo, stdout=writer) as front:
        os.close(writer)
        assert psutil.Process(front.pid).is_running()
        time.sleep(0.5)  # let it fill up
        with os.fdopen(reader, "rb") as output:
            assert len(output.read()) == 1_000_000


def test_orphans_of_a_command_that_prints_all_the_time_leave_no_zombies(repo: Path) -> None:
    script = """for n in $(seq 40); do sh -c "sleep 0.01 &"; echo $n; sleep 0.1; done
    while [ ! -e seen ]; do echo $n; sleep 0.1; done"""
    with subprocess.Popen([TRACK, "run", "-q", "sh", "-c", script], cwd=repo, stdout=subprocess.PIPE) as front:
        assert front.stdout
        zombies = []
        for line in front.stdout:
            if line == b"40\n" and len(zombies) < 600:  # a minute, while it goes on printing
                children = psutil.Process(front.pid).children()
                zombies.append(sum(child.status() == psutil.STATUS_ZOMBIE for child in children))
            if zombies and (zombies[-1] < 25 or len(zombies) == 600):
                (repo / "seen").touch()
        assert zombies[-1] < 25
    assert front.returncode == 0


def test_a_fault_of_the_front_process_takes_no_record_away(repo: Path) -> None:
    command = ["sh", "-c", "echo one; sleep 0.5; echo two; exit 3"]
    done = subprocess.run([sys.executable, "-c", FAULTY, *command], cwd=repo, capture_output=True, check=False)
    assert b"a fault of ours" in done.stderr
    assert wait_until(lambda: status(repo).get("exit_code")) == 3


def test_a_command_whose_keeper_was_killed_ends_as_it_ended_though_others_hold_its_output(repo: Path) -> None:
    script = "sleep 600 & echo up $!; read line; exit 4"
    front = subprocess.Popen(
        [TRACK, "run", "-q", "sh", "-c", script], cwd=repo, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert front.stdout and front.stdin
    sleeper = psutil.Process(int(front.stdout.readline().split()[1]))
    [keeper] = psutil.Process(front.pid).children()
    keeper.kill()
    front.stdin.write(b"\n")
    front.stdin.close()
    assert front.wait(60) == 4
    sleeper.kill()
    front.stdout.close()
    wait_until(lambda: fold(repo) or status(repo))  # the background program holds the run's lock until it is gone
    assert (status(repo)["status"], status(repo)["exit_code"]) == ("failed", 4)
