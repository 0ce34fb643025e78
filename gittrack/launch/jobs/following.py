"""A job that is going on, as it is seen from here: its console at once, its results every few seconds, and its end.

Two threads, so that a terminal that is slow to scroll holds up no results, and a large file no console. Both die with
the connection, of which the job knows nothing. Who reads the console prints it, too: to hand a line on to another
thread takes as long as all else that is done for it here.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gittrack import errors
from gittrack.attendant import ending
from gittrack.config import environment
from gittrack.core import events, layout
from gittrack.git.discover import Paths
from gittrack.git.open import open_repository
from gittrack.launch.engine.position import Position
from gittrack.launch.home import giving_up
from gittrack.launch.home.mirror import Mirror
from gittrack.launch.jobs import closing
from gittrack.launch.later import OFTEN, Later
from gittrack.launch.link.words import shown
from gittrack.launch.reached import At
from gittrack.runs import live

if TYPE_CHECKING:
    from gittrack.launch.engine.state import Container

SOON = 0.1  # seconds, where only another process is waited for
PATIENCE = 60.0  # seconds without anything new of a run that is over
EVERY = 2.0  # seconds between two looks at the journal
_RECORDED = 16 << 20  # bytes of a console that are shown where only its record is left
_LAST_LINES = 1 << 16  # bytes of a journal
_ENDLESS = "endless"  # the kind of an error: a record has no end, and nobody will write one
_SPOILED = (_ENDLESS, closing.VANISHED, "refused")
_GOING = ("removing", "dead")

Out = Callable[[int, bytes], None]  # 1 for standard output, 2 for standard error; the bytes


def look_once(at: At, paths: Paths, run_id: str) -> bool:
    """Bring what there is now; whether that is all. Raises LinkLost, HostFailed."""
    found = at.engine.find(run_id)
    closing.check_begun(at, paths, run_id, found)
    closing.close_if_dead(at, run_id, found)
    return bring(at, paths, run_id)


def bring(at: At, paths: Paths, run_id: str) -> bool:
    """The same, of a job of which it is known whether its container lives. Raises LinkLost, HostFailed."""
    with contextlib.closing(Mirror(at.link, paths, run_id)) as mirror:
        is_home = mirror.sync().is_final
    if is_home:
        closing.try_to_leave_clean(at, run_id)
    return is_home


def outlived(directory: str) -> tuple[str, str] | None:
    """How the run ended whose journal is in this folder, and what is waited for all the same."""
    try:
        with open(os.path.join(directory, events.STARTER), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_LINES))
            last = [events.parse_line(line) or {} for line in events.whole_lines(file.read()).splitlines()]
    except OSError:
        return None
    status = next((each.get("status") for each in last if each.get("e") == "end"), None)
    texts = [str(each.get("text")) for each in last if each.get("e") == "warning"]
    names = next((text for text in texts if text.startswith(ending.WAITED_FOR)), None)
    return None if status is None or names is None else (shown(str(status)), shown(names[len(ending.WAITED_FOR) :]))


class Follower:
    """`console` until the command has ended, then `finish`. After KeyboardInterrupt `console` may be called again.

    `position`: of the console, from where on it is wanted; it moves along."""

    def __init__(
        self, at: At, paths: Paths, run_id: str, position: Position, say: Callable[[str], None] | None = None
    ) -> None:
        """`say`: hears, once, that something goes on of a run whose end is recorded."""
        self._say = say
        self._at = at
        self._paths = paths
        self._run_id = run_id
        self._position = position
        self.missing = 0  # files that the host had not, or not as their digests say; known when it is finished
        self.spoiled = ""  # why the record at the host could not be taken: the run is ended with what had come
        self.is_cut_short = False  # the console: its container was gone before it was read to its end
        self._mirror = Mirror(at.link, paths, run_id)
        self._over = threading.Event()
        self._interrupted = False
        self._out: Out | None = None
        self._shown = threading.Event()  # somebody wants the console now
        self._read_out = threading.Event()  # there is no more of it, or nobody wants it any more
        self._reader = Later(self._read)
        self._bringer = Later(self._bring)

    def console(self, out: Out) -> bool:
        """Hand on what the command prints, in another thread, until it has ended; False when `interrupt` came first.

        Raises LinkLost, HostFailed, and what `out` raises."""
        self._out = out
        self._shown.set()
        try:
            while not self._read_out.wait(OFTEN):
                pass
        finally:
            self._shown.clear()
        if self._interrupted:
            return False
        self._reader.result()
        return True

    def interrupt(self) -> None:
        """End `console` from another thread."""
        self._interrupted = True
        self._read_out.set()

    def finish(self) -> "Container | None":
        """The rest of the results. The container as it ended, None where it is gone. Raises LinkLost, HostFailed."""
        self._over.set()
        self._bringer.result()
        found = self._at.engine.find(self._run_id)
        try:
            self._end(found)
        except errors.HostFailed as error:
            if found is None or not found.ended or not self._is_spoiled(error):
                raise
            self._give_up(found)
        with contextlib.suppress(errors.GittrackError):  # `git track host prune` is for what is left over
            closing.leave_clean(self._at, self._run_id, found)
        return found

    def _end(self, found: "Container | None") -> None:
        closing.check_begun(self._at, self._paths, self._run_id, found)
        with contextlib.closing(self._mirror):
            self._mirror.sync()  # raises where the command has done something to its record: it cannot be closed then
            closing.close_if_dead(self._at, self._run_id, found)
            self._wait_for_end()

    def _is_spoiled(self, error: errors.HostFailed) -> bool:
        """Whether nobody can ever bring the end of the run, and something of it is here."""
        self.spoiled = error.message if error.kind in _SPOILED else ""
        directory = live.folder(self._paths, self._run_id)
        return bool(self.spoiled) and os.path.exists(os.path.join(directory, events.STARTER))

    def _give_up(self, found: "Container") -> None:
        with contextlib.closing(open_repository(self._paths, environment.current(), "cli")) as repo:
            giving_up.give_up(repo, self._run_id, time.time(), giving_up.spoiled(self.spoiled), found.code)

    def leave(self) -> None:
        """Look no more. What runs there goes on."""
        self._over.set()

    def _wait_for_end(self) -> None:
        """All is at the host by now; another process of this clone may be bringing it."""
        quiet_since = time.monotonic()
        while not (news := self._mirror.sync()).is_final:
            if news.grown or news.elsewhere:
                quiet_since = time.monotonic()
            if time.monotonic() - quiet_since > PATIENCE:
                raise errors.HostFailed(
                    f"{self._at.host.name}: run {self._run_id} has ended, and its record there has no end",
                    f"what it has is in {self._at.job(self._run_id)}/run",
                    _ENDLESS,
                )
            time.sleep(SOON)
        self.missing = len(news.missing)

    def _read(self) -> None:
        tail = self._position.tail
        try:
            if self._read_container() or tail == 0:
                return
            if self._position.has_begun:  # what is recorded is not to the letter what was printed: it cannot go on
                self.is_cut_short = True
            else:
                self._put((1, self._recorded(tail)))
        finally:
            self._read_out.set()

    def _read_container(self) -> bool:
        """Whether there was anything to be read. Who has all of a job removes its container while others look."""
        container, seen = self._container(), False
        try:
            logs = self._at.engine.logs
            for piece in logs(container, follow=True, position=self._position) if container else ():
                seen = True
                if not self._put(piece):
                    break
        except errors.LinkLost:
            raise
        except errors.HostFailed:
            if self._container():
                raise
        return seen or bool(container and self._container())

    def _container(self) -> str:
        """Its id, while its output can be read."""
        found = self._at.engine.find(self._run_id)
        return found.id if found is not None and found.state not in _GOING else ""

    def _recorded(self, tail: int | None) -> bytes:
        """What there is of the console of a job whose container is gone, and its engine's log with it."""
        folder = f"{self._at.job(self._run_id)}/run"
        sizes = {entry.name: entry.size for entry in self._at.link.list(folder) or ()}
        start = max(0, sizes.get(events.CONSOLE, 0) - _RECORDED)
        with contextlib.suppress(FileNotFoundError):
            text = self._at.link.read(f"{folder}/{events.CONSOLE}", start, _RECORDED)
            return b"".join(text.splitlines(keepends=True)[-tail if tail else 0 :])
        return b""

    def _put(self, piece: tuple[int, bytes]) -> bool:
        """Whether anybody still wants it."""
        while not self._over.is_set() and not self._interrupted:
            if self._shown.wait(EVERY) and self._out is not None:
                self._out(*piece)
                return True
        return False

    def _bring(self) -> None:
        """A failure is not the console's: `finish` tries again, and says it. Afterwards others may bring it."""
        with contextlib.closing(self._mirror), contextlib.suppress(errors.GittrackError):
            while not self._over.wait(EVERY):
                with contextlib.suppress(errors.CannotWrite):  # somebody may make room
                    self._mirror.sync()
                self._tell_of_others()

    def _tell_of_others(self) -> None:
        """The command has ended, and what it has left in the background holds the console, or logs into the run."""
        found = outlived(live.folder(self._paths, self._run_id)) if self._say is not None else None
        if found is None or self._say is None or self._over.is_set():
            return
        status, names = found
        short = self._run_id[: layout.SHORT]
        self._say(
            f"run {short} is {status}, and processes that its command has left go on at {self._at.host.name}: {names}; "
            f"`git track stop {short}` ends them"
        )
        self._say = None
