"""How the command's output reaches us without the command noticing.

Where the user's stdout or stderr is a terminal, the command gets a pseudo-terminal of the same size there, so that
colours, progress bars and isatty() are as without us; elsewhere a pipe. Standard input, the controlling terminal and
the process group stay the user's own: Ctrl-C, Ctrl-Z, job control, line editing and passwords work by themselves, and
there is no terminal mode that a killed tracker could leave behind. (A pseudo-terminal that also took the keyboard would
need raw mode, would swallow what is typed ahead for the shell, and would break when we are killed.)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import termios
from typing import NamedTuple

PIPE_BYTES = 1024 * 1024
OUT, ERR = 1, 2

# Linux's, for which Python has a name from 3.10 on.
_SET_PIPE_SIZE: int | None = getattr(fcntl, "F_SETPIPE_SZ", 1031 if sys.platform == "linux" else None)
_OPOST = 1  # the place of c_oflag in termios attributes


class Source(NamedTuple):
    """One stream of the command: what we read, and the user's descriptor that it goes on to."""

    reader: int
    target: int
    terminal: bool


class Wiring(NamedTuple):
    """The streams of one command. `out` and `err` are its descriptors 1 and 2, to be closed once it runs."""

    sources: tuple[Source, ...]
    out: int
    err: int
    screen: int | None  # the user's terminal whose size counts
    master: int | None  # our side of the pseudo-terminal


def ensure_standard_streams() -> None:
    """Fill holes among descriptors 0 to 2, so that nothing that we open is taken for one of them."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > ERR:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def connect() -> Wiring:
    """Make the pipes and the pseudo-terminal that fit the user's streams. Raises OSError."""
    out_screen, err_screen = os.isatty(OUT), os.isatty(ERR)
    screen = OUT if out_screen else ERR if err_screen else None
    sources: list[Source] = []
    master = slave = None
    if screen is not None:
        master, slave = _pseudo_terminal(screen)
        sources.append(Source(master, screen, True))
    out = slave if slave is not None and out_screen else _pipe(OUT, sources)
    if slave is not None and err_screen:
        err = slave
    elif not out_screen and _same(OUT, ERR):  # 2>&1: through one pipe, so that the order stays
        err = out
    else:
        err = _pipe(ERR, sources)
    return Wiring(tuple(sources), out, err, screen, master)


def copy_size(wiring: Wiring) -> None:
    """Give the pseudo-terminal the size of the user's terminal."""
    if wiring.screen is not None and wiring.master is not None:
        with contextlib.suppress(OSError):  # the terminal was closed
            _copy_size(wiring.screen, wiring.master)


def is_stream(descriptor: int) -> bool:
    """Whether someone may be waiting for the end of what is written there: a pipe or a socket."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _pipe(target: int, sources: list[Source]) -> int:
    reader, writer = os.pipe()
    if _SET_PIPE_SIZE is not None:
        with contextlib.suppress(OSError):  # over the user's limit: the ordinary size is slower, and right
            fcntl.fcntl(reader, _SET_PIPE_SIZE, PIPE_BYTES)
    sources.append(Source(reader, target, False))
    return writer


def _pseudo_terminal(screen: int) -> tuple[int, int]:
    master, slave = os.openpty()
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(screen)
        attributes[_OPOST] &= ~termios.OPOST  # the user's own terminal makes line feeds into new lines: once is enough
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
    with contextlib.suppress(OSError):
        _copy_size(screen, master)
    return master, slave


def _copy_size(source: int, target: int) -> None:
    size = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(target, termios.TIOCSWINSZ, size)


def _same(one: int, other: int) -> bool:
    return os.path.sameopenfile(one, other)
