"""What both links do in the same way, with nothing more of a host than `sh`: read, write and list files there.

No SFTP: some hosts have none, a process reads as fast, and what happens (aside, checked, renamed) is ours to say.
"""

import contextlib
import os
import posixpath
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from gittrack.errors import HostFailed, NewerFormat
from gittrack.launch.later import Later
from gittrack.launch.link import bridge, patience, shelling
from gittrack.launch.link.hosts import Host
from gittrack.launch.link.patience import Patience, within
from gittrack.launch.link.protocol import MOST_OUTPUT, Channel, Done, Entries, Entry, Progress, silent
from gittrack.launch.link.words import shown

VERSION = "1"
_PIECE = 1 << 16
_AT_ONCE = 1 << 15  # bytes of input that fit into any pipe or window, so that nobody has to read meanwhile
_SMALL = 1_000_000  # bytes that are there at once on any line
_HALTING = 2.0  # seconds for processes to be told that they are to end: somebody has pressed Ctrl-C
_KINDS = {"f": "file", "d": "folder", "l": "link"}


class Scripted:
    """`protocol.Link` but for how a process is started. Subclasses say that."""

    is_here = False
    lost = False

    def __init__(self, host: Host) -> None:
        self.name = host.name
        self._wanted = host.folder.removeprefix("~/")
        self._folder: str | None = None
        self._folder_guard = threading.Lock()
        self._opened: list[weakref.ref[Channel]] = []  # a WeakSet would run code of its own, which swallows Ctrl-C
        self._opening = threading.Lock()
        self._is_halted = False

    def _start(self, argv: Sequence[str]) -> Channel:
        raise NotImplementedError

    def _give_up_silent(self, seconds: float) -> None:
        """Connections of which nothing comes for so long are lost."""

    def open(self, argv: Sequence[str]) -> Channel:
        self._check_not_halted()
        channel = self._start(argv)
        with self._opening:
            self._opened = [*(one for one in self._opened if one() is not None), weakref.ref(channel)]
        if self._is_halted:
            channel.close()
        self._check_not_halted()
        return channel

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        self._is_halted = True
        try:
            self._give_up_silent(_HALTING)
            Later(self._close_all).wait(_HALTING)
            yield
        finally:
            self._is_halted = False

    def _close_all(self) -> None:
        with self._opening:
            there = [channel for one in self._opened if (channel := one()) is not None]
        for channel in there:
            channel.close()

    def _check_not_halted(self) -> None:
        if self._is_halted:
            raise HostFailed(f"{self.name}: it was interrupted", "run the command again", "interrupted")

    def run(self, argv: Sequence[str], data: bytes = b"", check: bool = True, seconds: float | None = None) -> Done:
        what = " ".join(argv[4:] if argv[1:2] == ["-c"] else argv)
        with contextlib.closing(self.open(argv)) as channel, within(seconds, channel, self.name, what) as waiting:
            _fed(channel, data)
            out = self._all(channel, argv[0], waiting)
            done = Done(channel.wait(), out, channel.said())
        if check and done.code:
            raise self._failed(" ".join(argv), done)
        return done

    def folder(self) -> str:
        with self._folder_guard:
            if self._folder is None:
                self._folder = self._made()
            return self._folder

    def list(self, path: str) -> Entries | None:
        done = self.run(shelling.script(shelling.LIST, path), check=False, seconds=patience.ANSWER)
        if done.code == shelling.MISSING:
            return None
        if done.code:
            raise self._failed(f"{path} cannot be listed", done)
        return sorted(map(self._entry, done.out.removesuffix(b"\0").split(b"\0"))) if done.out else []

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        with (
            self._reading(path, offset, size) as channel,
            within(patience.ANSWER, channel, self.name, f"reading {path}") as waiting,
        ):
            return self._all(channel, path, waiting)

    @contextlib.contextmanager
    def reading(self, path: str, offset: int = 0) -> Iterator[Callable[[int], bytes]]:
        with self._reading(path, offset, None) as channel:
            yield channel.read

    def send(self, source: str, path: str, progress: Progress = silent) -> None:
        with open(source, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            with self._writing(path, size, 0o600) as channel:
                while data := file.read(min(_PIECE, size)):
                    channel.write(data)
                    size -= len(data)
                    progress(len(data))

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        with self._writing(path, len(data), mode, patience.ANSWER if len(data) < _SMALL else None) as channel:
            channel.write(data)

    def socket(self, argv: Sequence[str]) -> AbstractContextManager[str]:
        command = list(argv)
        return bridge.listening(lambda: self.open(command))

    def _made(self) -> str:
        done = self.run(shelling.script(shelling.FOLDER, self._wanted), check=False, seconds=patience.ANSWER)
        said, _, answer = done.out.partition(b"gittrack\n")
        if done.code == shelling.OTHERS:
            raise HostFailed(
                f"{self.name}: {self._wanted} holds other things than gittrack's",
                f"name a folder of its own: `hosts: {{{self.name}: {{folder: .gittrack}}}}` in gittrack.yaml",
                "folder",
            )
        if said:
            raise HostFailed(
                f"{self.name}: the shell there prints something of its own before each command: {shown(said)}",
                "have ~/.bashrc (or its like) print only for people: `case $- in *i*) … ;; esac`",
                "chatty",
            )
        version, _, place = answer.partition(b"\n")
        if done.code or not place.startswith(b"/"):
            raise self._no_folder(done)
        if version.decode("ascii", "replace").strip() != VERSION:
            raise NewerFormat(f"{self.name}: {self._wanted} was written by a newer gittrack", "upgrade gittrack here")
        return os.fsdecode(place.removesuffix(b"\n"))

    def _no_folder(self, done: Done) -> HostFailed:
        return HostFailed(
            f"{self.name}: the folder {self._wanted} cannot be made there: "
            f"{shown(done.err) or f'exit code {done.code}'}",
            "free some space, let your user write there, or name another folder: `hosts: {NAME: {folder: /data/me}}`",
            "home",
        )

    @contextlib.contextmanager
    def _reading(self, path: str, offset: int, size: int | None) -> Iterator[Channel]:
        """The output of a process that reads a file; checked at the end."""
        values = (path, str(offset), "" if size is None else str(size))
        with contextlib.closing(self.open(shelling.script(shelling.READ, *values))) as channel:
            yield channel
            code = channel.wait()
            if code == shelling.MISSING:
                raise FileNotFoundError(2, "No such file at the host", f"{self.name}:{path}")
            if code:
                what = "is no file" if code == shelling.NOT_A_FILE else "cannot be read"
                raise self._failed(f"{path} {what}", Done(code, b"", channel.said()))

    @contextlib.contextmanager
    def _writing(self, path: str, size: int, mode: int, seconds: float | None = None) -> Iterator[Channel]:
        """The input of a process that writes a file; checked at the end."""
        values = (path, posixpath.dirname(path) or ".", str(size), f"{mode:o}")
        with (
            contextlib.closing(self.open(shelling.script(shelling.WRITE, *values))) as channel,
            within(seconds, channel, self.name, f"writing {path}"),
        ):
            with contextlib.suppress(BrokenPipeError):  # what it says, and how it ends, explains more
                yield channel
                channel.end_input()
            while channel.read(_PIECE):
                pass
            if code := channel.wait():
                reason = {shelling.NOT_A_FILE: b"it is a folder", shelling.TORN: b"it changed while it was sent"}
                raise self._failed(
                    f"{path} cannot be written", Done(code, b"", reason.get(code) or channel.said()), "write"
                )

    def _all(self, channel: Channel, what: str, waiting: Patience | None = None) -> bytes:
        pieces, size = [], 0
        while data := channel.read(_PIECE):
            if waiting:
                waiting.moved()
            pieces.append(data)
            if (size := size + len(data)) > MOST_OUTPUT:
                raise HostFailed(
                    f"{self.name}: {what} gives more than {MOST_OUTPUT:,} bytes",
                    "look at the host: it may be broken, or not what it seems",
                    "size",
                )
        return b"".join(pieces)

    def _entry(self, line: bytes) -> Entry:
        kind, _, rest = line.partition(b" ")
        size, _, name = rest.partition(b" ")
        text = os.fsdecode(name)
        if not size.isdigit() or len(size) > 18 or not name or text in (".", "..") or "/" in text:
            raise HostFailed(f"{self.name}: the host lists {line[:80]!r}", "its `find` is not what it seems", "hostile")
        return Entry(text, int(size), _KINDS.get(kind.decode("ascii", "replace"), "other"))

    def _failed(self, what: str, done: Done, kind: str = "failed") -> HostFailed:
        words = shown(done.err) or f"exit code {done.code}"
        return HostFailed(f"{self.name}: {what[:200]}: {words}", "", kind)


def _fed(channel: Channel, data: bytes) -> None:
    """Give a process its input while somebody reads its output: in a thread where either could wait for the other."""
    if len(data) <= _AT_ONCE:
        _feed(channel, data)
    else:
        threading.Thread(target=_feed, args=(channel, data), name="gittrack-feed", daemon=True).start()


def _feed(channel: Channel, data: bytes) -> None:
    # A process need not read its input; a lost link is told by whoever reads.
    with contextlib.suppress(BrokenPipeError, HostFailed):
        if data:
            channel.write(data)
        channel.end_input()
