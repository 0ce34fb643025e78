"""Signals go through to the command, each once, and the command's death by signal comes out again.

The command is in the user's process group, so what the terminal sends (Ctrl-C, Ctrl-\\) reaches it without us; what
somebody sends to us alone must be passed on. Passing on both would interrupt a training twice, in the middle of saving
its checkpoint. Linux tells who sent a signal; elsewhere an interrupt that comes while we are in front of a terminal is
taken to be the terminal's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterable

PASSED_ON = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"))
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)  # not SIGHUP: that may come to a session's leader alone
_ECHO = 5.0  # seconds within which the same signal from our parent, git, is its own passing on of the terminal's
_WAIT = getattr(signal, "sigwaitinfo", None)  # macOS has none

Send = Callable[[int], None]


def ours() -> tuple[int, ...]:
    """The signals to pass on: those that the user did not have ignored (nohup, background jobs of a plain shell)."""
    return tuple(number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN)


def survive(numbers: Iterable[int]) -> None:
    """Let these signals do nothing in this process; a command that is started gets their defaults back."""
    for number in numbers:
        signal.signal(number, _nothing)


class Forwarder:
    """Passes signals on to the command from a thread of its own: the main one may be stuck in a write to a terminal."""

    def __init__(self, send: Send, resized: Callable[[], None], seen: Send = lambda _: None) -> None:
        """`seen` hears of what the terminal has sent to the command as well as to us."""
        self._send = send
        self._resized = resized
        self._heard = seen
        self._seen: dict[int, float] = {}
        self._waiting = {*ours(), signal.SIGWINCH}

    def start(self) -> None:
        survive(self._waiting)
        signal.pthread_sigmask(signal.SIG_BLOCK, self._waiting)
        threading.Thread(target=self._run, name="gittrack-signals", daemon=True).start()

    def _run(self) -> None:
        while True:
            if _WAIT is not None:
                came = _WAIT(self._waiting)
                self._take(came.si_signo, came.si_code, came.si_pid)
            else:
                number = signal.sigwait(self._waiting)
                self._take(number, 1 if _before_terminal() else 0, 0)

    def _take(self, number: int, code: int, sender: int) -> None:
        if number == signal.SIGWINCH:
            self._resized()
            self._send(number)  # the command got the terminal's own before the size was right
            return
        if code > 0 and number in _FROM_TERMINAL:  # from the kernel: the whole process group has it
            self._seen[number] = time.monotonic()
            self._heard(number)
            return
        if sender == os.getppid() and time.monotonic() - self._seen.get(number, -_ECHO) < _ECHO:
            return
        self._send(number)


def die_of(number: int) -> None:
    """End this process by signal `number`, as the command did, so that the shell says what it would have said."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its core; ours is of no use
    with contextlib.suppress(OSError, ValueError):  # SIGKILL and SIGSTOP have no disposition
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the first process of a container does not die of signals


def name_of(number: int) -> str:
    """`SIGTERM`; real-time signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _nothing(number: int, frame: object) -> None:
    pass


def _before_terminal() -> bool:
    """Whether the user's terminal, if there is one, sends its signals to our process group."""
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False
