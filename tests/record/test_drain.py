"""Who waits for files to be kept sees how far it is and may leave: at a real terminal, with a storer held up."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from common import TRACK, wait_until
from test_files_of_runs import check, live_runs, read, refs, storers
from test_real_terminal import Terminal

Git = Callable[..., str]
# Saves, waits until its storer is held up, saves again and ends: what is left takes as long as the test wants.
SAVES = """
import gittrack, os, time
run = gittrack.init()
def save(step):
    with open("model.pt", "wb") as file:
        file.write(bytes([step]) * 2_500_000 + b"tail")
    with open("config.json", "w") as file:
        file.write('{"step": %d}' % step)
    run.checkpoint(path=["model.pt", "config.json"], step=step)
save(0)
print("saved", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
save(1)
print("over", flush=True)
"""
STARTS = {"git track run": [TRACK, "run", sys.executable, "train.py"], "init": [sys.executable, "train.py"]}


@pytest.fixture
def begun(repo: Path) -> Iterator[Callable[[str], tuple[Terminal, psutil.Process]]]:
    opened: list[Terminal] = []

    def begin(*argv: str) -> tuple[Terminal, psutil.Process]:
        (repo / "train.py").write_text(SAVES)
        screen = Terminal(list(argv), repo)
        opened.append(screen)
        screen.expect(b"saved")
        [held] = wait_until(lambda: storers(repo))
        wait_until(lambda: not waiting(repo))
        held.suspend()
        (repo / "go").touch()
        screen.expect(b"over")
        return screen, held

    yield begin
    for each in opened:
        each.close()
    for process in storers(repo):
        process.kill()


def waiting(repo: Path) -> list[Any]:
    return [*(repo / ".git" / "track" / "live").glob("*/parcels/[0-9]*")]


@pytest.mark.parametrize("how", STARTS)
def test_a_bar_shows_how_far_it_is(begun, repo: Path, git: Git, how: str) -> None:
    screen, held = begun(*STARTS[how])
    screen.expect(b"keeping files")
    screen.expect(b"of 2.5 MB")
    held.resume()
    assert screen.end() == 0
    assert b"\r\x1b[K" in screen.text
    check(repo, git, refs(git)[0], 2)
    assert read(git, "status")["status"] == "completed"


@pytest.mark.parametrize("how", STARTS)
def test_the_first_interrupt_asks_and_the_second_leaves(begun, repo: Path, git: Git, how: str) -> None:
    screen, held = begun(*STARTS[how])
    screen.expect(b"keeping files")
    screen.type(b"\x03")
    screen.expect(b"2.5 MB to go. Ctrl-C again leaves that to the background")
    time.sleep(0.3)
    assert b"not kept yet" not in screen.text
    screen.type(b"\x03")
    screen.expect(b"2.5 MB of files are not kept yet; that goes on in the background, and nothing is lost.")
    assert screen.end() == 0  # the command's
    assert live_runs(repo) != []
    held.resume()
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 2)
    assert read(git, "status")["status"] == "completed"


def test_recover_waits_for_what_was_left_to_the_background(begun, repo: Path, git: Git) -> None:
    screen, held = begun(*STARTS["init"])
    screen.expect(b"keeping files")
    screen.type(b"\x03")
    screen.expect(b"again leaves")
    screen.type(b"\x03")
    screen.end()
    recover = Terminal([TRACK, "recover"], repo)
    recover.expect(b"keeping files")
    held.resume()
    assert recover.end() == 0
    assert b"closed " in recover.text
    check(repo, git, refs(git)[0], 2)


def test_recover_can_be_left_when_all_but_the_storer_are_dead(begun, repo: Path, git: Git) -> None:
    screen, held = begun(*STARTS["git track run"])
    screen.expect(b"keeping files")
    [keeper] = [child for child in psutil.Process(screen.pid).children() if child.pid != held.pid]
    for pid in (screen.pid, keeper.pid):
        os.kill(pid, signal.SIGKILL)
    screen.end()
    recover = Terminal([TRACK, "recover"], repo)
    recover.expect(b"keeping files")
    recover.type(b"\x03")
    assert recover.end() == 130
    assert b"2.5 MB of files are not kept yet; nothing is lost" in recover.text
    held.resume()
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 2)


def test_the_program_is_killed_in_the_drain(begun, repo: Path, git: Git) -> None:
    screen, held = begun(*STARTS["init"])
    screen.expect(b"keeping files")
    os.kill(screen.pid, signal.SIGKILL)
    screen.end()
    held.resume()
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 2)
    assert read(git, "status")["status"] == "completed"


def test_a_terminate_in_the_drain_leaves_at_once(begun, repo: Path, git: Git) -> None:
    screen, held = begun(*STARTS["git track run"])
    screen.expect(b"keeping files")
    os.kill(screen.pid, signal.SIGTERM)
    screen.expect(b"not kept yet")
    assert screen.end() == 0
    held.resume()
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 2)


def test_the_keeper_is_killed_in_the_drain(begun, repo: Path, git: Git) -> None:
    screen, held = begun(*STARTS["git track run"])
    screen.expect(b"keeping files")
    [keeper] = [child for child in psutil.Process(screen.pid).children() if child.pid != held.pid]
    keeper.kill()
    time.sleep(0.3)
    held.resume()
    assert screen.end() == 0
    wait_until(lambda: not live_runs(repo))
    check(repo, git, refs(git)[0], 2)


def test_storers_that_fail_do_not_hold_up_the_end(begun, repo: Path, git: Git) -> None:
    screen, held = begun(*STARTS["git track run"])
    objects = repo / ".git" / "track" / "objects"
    objects.rename(objects.with_name("aside"))
    objects.write_text("not a folder")
    held.kill()
    assert screen.end() == 0
    assert b"not closed yet: its files are not all kept" in screen.text and b"git track recover" in screen.text
    for process in psutil.Process(os.getpid()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended
            if "git-track" in " ".join(process.cmdline()):
                process.kill()
    objects.unlink()
    objects.with_name("aside").rename(objects)
    wait_until(lambda: not live_runs(repo) or os.system(f"cd {repo} && {TRACK} recover >/dev/null") < 0, 60)
    check(repo, git, refs(git)[0], 2)


@pytest.mark.parametrize("option", ["--quiet", "--json", "--no-autolog"])
def test_in_a_pipe_one_line_says_it_unless_quiet(repo: Path, git: Git, option: str) -> None:
    (repo / "train.py").write_text(SAVES)
    process = subprocess.Popen(
        [TRACK, "run", option, sys.executable, "train.py"],
        cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    [held] = wait_until(lambda: storers(repo))
    wait_until(lambda: not waiting(repo))
    held.suspend()
    (repo / "go").touch()
    said = ""
    if option == "--no-autolog":
        while "keeping" not in said and (line := process.stderr.readline()):
            said += line
    else:
        time.sleep(3)
    held.resume()
    said += process.communicate(timeout=60)[1]
    assert said.count("keeping 2.5 MB of files") == (option == "--no-autolog")
    check(repo, git, refs(git)[0], 2)
