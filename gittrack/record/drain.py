"""A program with a run of its own ends: what it has handed over is waited for, as long as its user has patience."""

import os
import time

from gittrack.git.discover import Paths
from gittrack.record import uploads, waiting
from gittrack.record.storer import Storer
from gittrack.recorder.complain import say

LOOK_EVERY = 0.05
STUCK = 3.0  # seconds for a storer of another process that cannot go on


def wait(storer: Storer, directory: str, show: waiting.Show) -> bool:
    """Wait until the files of a run are kept. False when that failed, or the user does not want to wait any longer.

    Interrupts are taken: the training is over.
    """
    began = time.monotonic()
    interrupts, shown = 0, False
    storer.try_again()
    try:
        while interrupts < waiting.ENOUGH:
            try:
                found = waiting.look(directory)
                storer.look()
                storer.dismiss()
                if found is None and not storer.is_running():
                    return True
                seconds = time.monotonic() - began
                if storer.failed or (found and found.error and not storer.is_running() and seconds > STUCK):
                    say(f"files of run {os.path.basename(directory)[:7]} are not all kept: {storer.error()}")
                    return False
                if found is not None:
                    shown = True
                    show(waiting.Drain(found, seconds, interrupts))
                storer.wait(LOOK_EVERY)
            except KeyboardInterrupt:
                interrupts += 1
        found = waiting.look(directory)
        if found is not None:
            show(waiting.Drain(found, time.monotonic() - began, interrupts))
        return False
    finally:
        if shown:
            show(None)


def wait_for_upload(paths: Paths, directory: str, show: waiting.Show) -> None:
    """The run is closed: wait for its files to be in the stores, as long as they answer and the user has patience."""
    began = time.monotonic()
    interrupts: list[float] = []
    shown = False
    try:
        while True:
            try:
                shown |= uploads.follow(paths, os.path.basename(directory), show, began, lambda: len(interrupts))
                return
            except KeyboardInterrupt:
                interrupts.append(time.monotonic())
                shown = True
    finally:
        if shown:
            show(None)
