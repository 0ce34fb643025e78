"""Waiting for work in other threads."""

import subprocess
import sys

import pytest

# Signals that come while the main thread has them blocked are taken by another one: the wait of the main thread is not
# ended by them, as when they come just before it.
PROGRAM = """
import os, signal, sys, threading
from gittrack.launch import later
signal.signal(signal.SIGINT, signal.default_int_handler)
forever, go = threading.Event(), threading.Event()
def interrupt():
    go.wait()
    while not waits():
        pass
    os.kill(os.getpid(), signal.SIGINT)
    forever.wait()
def waits():
    with open(f"/proc/self/task/{os.getpid()}/stat") as file:
        return " S " in file.read()
threading.Thread(target=interrupt, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
work = later.Later(forever.wait)
go.set()
try:
    WAIT
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("wait", ["work.result()", "work.wait(1e6)"])
def test_an_interrupt_that_a_wait_does_not_notice_is_not_lost(wait: str) -> None:
    argv = [sys.executable, "-c", PROGRAM.replace("WAIT", wait)]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout == "interrupted\n"
