"""A terminal stays a terminal: the tests sit at the other end of a real one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from common import TRACK

PYTHON = sys.executable


class Terminal:
    """A shell's place: a process in the foreground of a terminal of 100 columns and 30 lines."""

    def __init__(self, argv: list[str], cwd: Path) -> None:
        self.text = b""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
            os.execv(argv[0], argv)

    def expect(self, text: bytes, seconds: float = 60) -> None:
        """Read until `text` has been shown."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} did not come; there was {self.text!r}")
            self._read(0.2)

    def type(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self, seconds: float = 60) -> int:
        """Wait for the process; exit code, or minus the signal."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._read(0.05)
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it did not end; there was {self.text!r}")

    def close(self) -> None:
        """Kill what is still there, and shut the terminal."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.screen)

    def _read(self, seconds: float) -> None:
        if select.select([self.screen], [], [], seconds)[0]:
            try:
                self.text += os.read(self.screen, 65536)
            except OSError:
                time.sleep(seconds / 4)


@pytest.fixture
def shown(repo: Path) -> Iterator[object]:
    opened: list[Terminal] = []

    def start(*argv: str) -> Terminal:
        opened.append(Terminal(list(argv), repo))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def console(repo: Path) -> bytes:
    def git(*args: str) -> bytes:
        return subprocess.run(["git", *args], cwd=repo, capture_output=True, check=True).stdout

    [ref] = git("for-each-ref", "--format=%(refname)", "refs/track/runs").decode().split()
    return git("show", f"{ref}:console/000/00.log")


ABOUT = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], os.get_terminal_size(), os.get_terminal_size(2))"


def test_the_command_sees_a_terminal_of_the_same_size(shown, repo: Path) -> None:
    screen = shown(TRACK, "run", PYTHON, "-c", ABOUT)
    assert screen.end() == 0
    size = b" os.terminal_size(columns=100, lines=30)"
    assert b"[True, True, True]" + size + size + b"\r\n" in screen.text
    assert b"git track show" in screen.text
    assert console(repo).startswith(b"[True, True, True]")


def test_bytes_come_as_they_were_written(shown, repo: Path) -> None:
    script = r"printf '\033[31mred\033[0m\na\tb\r50%%\r100%%\n\001\377\n'"
    screen = shown(TRACK, "run", "-q", "sh", "-c", script)
    assert screen.end() == 0
    assert screen.text == b"\x1b[31mred\x1b[0m\r\na\tb\r50%\r100%\r\n\x01\xff\r\n"
    assert console(repo) == b"\x1b[31mred\x1b[0m\n100%\n\x01\xff\n"


def test_one_stream_may_be_a_terminal_and_the_other_not(shown, repo: Path) -> None:
    command = f"{TRACK} run -q {PYTHON} -c 'import os; print([os.isatty(n) for n in (0, 1, 2)])'"
    screen = shown("/bin/sh", "-c", f"{command} | cat")
    screen.end()
    assert b"[True, False, True]" in screen.text
    screen = shown("/bin/sh", "-c", f"{command} 2>/dev/null")
    screen.end()
    assert b"[True, True, False]" in screen.text


def test_what_is_typed_reaches_the_command(shown) -> None:
    screen = shown(TRACK, "run", "-q", PYTHON, "-c", "print('you said', input('say: '))")
    screen.expect(b"say: ")
    screen.type(b"hello\n")
    assert screen.end() == 0
    assert b"say: hello\r\nyou said hello\r\n" in screen.text


def test_a_password_is_not_shown_nor_recorded(shown, repo: Path) -> None:
    screen = shown(TRACK, "run", "-q", PYTHON, "-c", "import getpass; print(len(getpass.getpass('secret: ')))")
    screen.expect(b"secret: ")
    screen.type(b"hunter2\n")
    assert screen.end() == 0
    assert b"7\r\n" in screen.text and b"hunter2" not in screen.text and b"hunter2" not in console(repo)


COUNTS = """
import signal, sys, time
hits = []
signal.signal(signal.SIGINT, lambda *_: hits.append(time.time()))
print("up", flush=True)
while not hits or time.time() < hits[-1] + 1:
    time.sleep(0.05)
print("hits", len(hits))
sys.exit(len(hits))
"""
CALLS = {
    "git-track": "exec {track} {command}",
    "git track": "exec git track {command}",
    "in a pipe": "trap '' INT; (trap - INT; {track} {command}) | cat",
}


@pytest.mark.parametrize("how", CALLS)
def test_one_ctrl_c_is_one_interrupt(shown, how: str) -> None:
    command = f"run -q {PYTHON} -c '{COUNTS}'"
    screen = shown("/bin/bash", "-c", CALLS[how].format(track=TRACK, command=command))
    screen.expect(b"up")
    screen.type(b"\x03")
    code = screen.end()
    assert b"hits 1\r\n" in screen.text
    if how == "git-track":
        assert code == 1
    elif how == "git track":
        assert code in (1, -signal.SIGINT)  # git itself dies of the interrupt that it has seen


def test_ctrl_c_ends_what_does_not_handle_it(shown, repo: Path) -> None:
    screen = shown(TRACK, "run", "sh", "-c", "echo up .; exec sleep 600")
    screen.expect(b"up .\r\n")
    screen.type(b"\x03")
    assert screen.end() == -signal.SIGINT
    assert b"killed by SIGINT" in screen.text


def test_an_interrupt_that_is_sent_to_us_alone_is_passed_on(shown) -> None:
    screen = shown(TRACK, "run", "-q", PYTHON, "-c", COUNTS)
    screen.expect(b"up")
    os.kill(screen.pid, signal.SIGINT)
    assert screen.end() == 1


RESIZED = """
import os, signal, time
sizes = []
signal.signal(signal.SIGWINCH, lambda *_: sizes.append(os.get_terminal_size().columns))
print("up", flush=True)
while 77 not in sizes:  # the terminal's own signal may come before the size is right, and then another one does
    time.sleep(0.05)
print("size", sizes[-1])
"""


def test_a_terminal_that_changes_its_size(shown) -> None:
    screen = shown(TRACK, "run", "-q", PYTHON, "-c", RESIZED)
    screen.expect(b"up")
    screen.resize(40, 77)
    screen.expect(b"size 77")
    assert screen.end() == 0


def mode(screen: Terminal) -> list[object]:
    return termios.tcgetattr(screen.screen)


def test_the_terminal_is_as_before_whatever_happens(shown) -> None:
    """Nothing is changed, so nothing must be put back: not even a kill of everything leaves a trace."""
    shell = shown(
        "/bin/sh", "-c", f"{TRACK} run -q sh -c 'echo up $$ .; exec sleep 600'; echo after; read line; echo got $line"
    )
    before = mode(shell)
    shell.expect(b" .\r\n")
    command = int(shell.text.split()[1])
    assert mode(shell) == before
    front = int(subprocess.run(["pgrep", "-P", str(shell.pid)], capture_output=True, text=True).stdout.split()[0])
    os.kill(front, signal.SIGKILL)
    shell.expect(b"after")
    assert mode(shell) == before
    shell.type(b"typed\n")
    shell.expect(b"got typed")
    os.kill(command, signal.SIGKILL)


def test_stopped_and_brought_back_by_the_shell(shown, repo: Path) -> None:
    shell = shown("/bin/bash", "--norc", "-i")
    shell.type(b"PS1='> '\n")
    shell.type(f"{TRACK} run -q sh -c 'echo up; while [ ! -e go ]; do sleep 0.1; done; echo down'\n".encode())
    shell.expect(b"up\r\n")
    shell.type(b"\x1a")
    shell.expect(b"Stopped")
    (repo / "go").touch()
    shell.type(b"fg\n")
    shell.expect(b"down\r\n")
    shell.type(b"exit 3\n")
    assert shell.end() == 3


def test_in_the_background_of_a_shell(shown) -> None:
    shell = shown("/bin/bash", "--norc", "-i")
    shell.type(b"PS1='> '\n")
    shell.type(f"{TRACK} run -q sh -c 'sleep 0.3; echo one; echo two' & echo star''ted\n".encode())
    shell.expect(b"started")
    shell.expect(b"one\r\ntwo\r\n")
    shell.type(b"wait; exit 4\n")
    assert shell.end() == 4


def test_what_is_typed_ahead_is_left_for_the_shell(shown) -> None:
    shell = shown("/bin/sh", "-c", f"{TRACK} run -q sh -c 'echo up; sleep 0.5'; read line; echo got $line")
    shell.expect(b"up")
    shell.type(b"ahead\n")
    shell.expect(b"got ahead")


def test_a_background_process_goes_on_writing_to_the_terminal(shown, repo: Path) -> None:
    late = "while [ ! -e go ]; do sleep 0.1; done; echo late; touch over"
    shell = shown(
        "/bin/bash",
        "-c",
        f"{TRACK} run -q sh -c '({late}) & echo first'; echo returned; while [ ! -e over ]; do sleep 0.1; done",
    )
    shell.expect(b"returned")
    assert b"late" not in shell.text
    (repo / "go").touch()
    shell.expect(b"late")


BAR = """
import os, sys, time
for n in range(3):
    sys.stderr.write(f"\\r{n}/3")
    while not os.path.exists("seen"):
        time.sleep(0.05)
sys.stderr.write("\\n")
"""


def test_progress_bars_are_live(shown, repo: Path) -> None:
    screen = shown(TRACK, "run", "-q", PYTHON, "-c", BAR)
    screen.expect(b"\r0/3")
    (repo / "seen").touch()
    assert screen.end() == 0 and re.search(rb"\r2/3\r?\n", screen.text)


def test_a_program_that_opens_the_terminal_itself(shown) -> None:
    screen = shown(TRACK, "run", "-q", "sh", "-c", "echo direct > /dev/tty; stty size < /dev/tty")
    assert screen.end() == 0
    assert b"direct\r\n30 100\r\n" in screen.text
