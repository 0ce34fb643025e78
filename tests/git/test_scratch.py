"""Folders for one transfer: gone afterwards, whoever was killed, and never taken from somebody who lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from gittrack.git.scratch import scratch

HOLD = """
import sys, time
from gittrack.git.scratch import scratch
with scratch(sys.argv[1], "work") as work:
    print(work.path, flush=True)
    if len(sys.argv) > 2:
        import subprocess
        child = subprocess.Popen(["sleep", "600"], pass_fds=(work.lock,))
        print(child.pid, flush=True)
    time.sleep(600)
"""


def names(common: Path) -> list[str]:
    return sorted(os.listdir(common / "track" / "tmp"))


def test_nothing_is_left_when_the_block_ends(tmp_path: Path) -> None:
    with scratch(str(tmp_path), "work") as work:
        (Path(work.path) / "file").write_text("x")
        assert names(tmp_path)
    assert names(tmp_path) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    dead, living = (holder.stdout.readline().strip() for holder in holders)
    holders[0].kill()
    holders[0].wait()
    try:
        assert os.path.isdir(dead)
        with scratch(str(tmp_path), "work"):
            assert not os.path.exists(dead)
            assert os.path.isdir(living)
    finally:
        holders[1].kill()
        holders[1].wait()


def test_what_it_started_keeps_the_folder_of_a_killed_process(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), "x"], stdout=subprocess.PIPE, text=True)
    path, child = holder.stdout.readline().strip(), int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    try:
        with scratch(str(tmp_path), "work"):
            assert os.path.isdir(path)
    finally:
        os.kill(child, signal.SIGKILL)
