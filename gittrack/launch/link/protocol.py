"""What is needed of a host: start a process there, move bytes. One protocol, so that the layers above do not know
whether the host is across the sea or this machine.

Two implementations, `ssh.link` and `link.here`, judged by one contract suite (tests/launch/test_link_contract.py).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

FOLDER = ".gittrack"  # in the home of the user there, unless the host's settings name another
KEPT_ERRORS = 64_000  # bytes of a process's standard error that are remembered; the last ones
MOST_OUTPUT = 256_000_000  # bytes that `run` and `read` take into memory; a host may be hostile

Progress = Callable[[int], None]  # called with the number of bytes that have just been moved


def silent(*_moved: object) -> None:
    """A Progress, of whatever kind, that nobody looks at."""


class Done(NamedTuple):
    """A process that has ended."""

    code: int  # as a shell says it: 128 + the signal; 255 where the host does not say which signal it was
    out: bytes
    err: bytes


class Entry(NamedTuple):
    """One name in a directory of a host, itself, not what it leads to."""

    name: str
    size: int
    kind: str  # "file", "folder", "link" or "other"


class UnknownKey(NamedTuple):
    """A host key that no known_hosts file has, and that somebody has to decide about."""

    host: str  # as known_hosts names it: host, or [host]:port
    kind: str  # ssh-ed25519, …
    fingerprint: str  # SHA256:…, as `ssh-keygen -l` prints it
    file: str  # the known_hosts file into which it is written when it is accepted


class Ask(NamedTuple):
    """Who answers what only a person can. None: nobody is there to be asked."""

    accept: Callable[[UnknownKey], bool | None]
    secret: Callable[[str], str | None]  # the passphrase of a key, or a password; asked with these words


Entries = list[Entry]  # by name
NOBODY = Ask(lambda _key: None, lambda _words: None)
ACCEPT_NEW = Ask(lambda _key: True, lambda _words: None)


class Channel(Protocol):
    """One process at a host. One thread may read while another writes."""

    def read(self, size: int) -> bytes:
        """At least one byte of its output, at most `size`; b"" at the end of it. Raises LinkLost."""

    def write(self, data: bytes) -> None:
        """All of `data` to its input. Raises LinkLost; BrokenPipeError where the process reads no more."""

    def end_input(self) -> None:
        """Its input ends here. May be called twice."""

    def wait(self) -> int:
        """Its exit code (see `Done`), once it has ended; its output should have been read. Raises LinkLost."""

    def said(self) -> bytes:
        """Its standard error up to now: the last KEPT_ERRORS bytes."""

    def close(self) -> None:
        """Nobody wants it any more: its input and output are closed, it is asked to end (SIGTERM). Does not wait."""


class Link(Protocol):
    """Our connection to a host. Safe to use from several threads at once.

    Paths are absolute, or relative to the home of the user there. An argv reaches the process there as it is: whatever
    is in it, no shell sees it.
    """

    @property
    def name(self) -> str:
        """The host as the user calls it."""

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""

    @property
    def lost(self) -> bool:
        """Whether the connection is known to have broken."""

    def run(self, argv: Sequence[str], data: bytes = b"", check: bool = True, seconds: float | None = None) -> Done:
        """Run a process to its end, `data` being its input. Raises LinkLost; with `check` HostFailed where its code is
        not 0, in the words of its standard error; with `seconds` HostFailed when it says nothing for so long."""

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a process. Raises LinkLost, HostFailed."""

    def halted(self) -> AbstractContextManager[None]:
        """All that was started is asked to end, and nothing more is started within the block: whoever asks for it gets
        HostFailed."""

    def folder(self) -> str:
        """Absolute path of our folder there; made, for this user alone, if it is not there. Asked once.

        Raises HostFailed where the home cannot be written, LinkLost."""

    def list(self, path: str) -> Entries | None:
        """What is in a directory, sorted by name; None if there is no directory. Raises HostFailed, LinkLost."""

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of a file. Raises FileNotFoundError, HostFailed (unreadable, or more than MOST_OUTPUT), LinkLost."""

    def reading(self, path: str, offset: int = 0) -> AbstractContextManager[Callable[[int], bytes]]:
        """A large file as it comes, from `offset` on: each call gives at least one byte, at most so many, b"" at its
        end. Then the block may be left; before, only by an exception, and what is still to come does not come.

        Raises FileNotFoundError, HostFailed (both at the end of the block at the latest), LinkLost."""

    def send(self, source: str, path: str, progress: Progress = silent) -> None:
        """A large local file, to be had there under its name only when it is whole. Its folder is made if need be.

        Raises HostFailed, LinkLost, OSError of this side."""

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """A file there: whole, or not at all. Its folder is made if need be. Raises HostFailed, LinkLost."""

    def socket(self, argv: Sequence[str]) -> AbstractContextManager[str]:
        """Path of a unix socket here, in a folder of its own that only this user may enter. Each connection to it is
        one process `argv` there: what is sent is its input, what is received its output, its end the connection's."""

    def close(self) -> None:
        """Leave the host. What was started with `open` is asked to end. May be called twice."""
