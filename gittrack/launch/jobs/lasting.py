"""Sending and watching a job for longer than one connection lasts: when it breaks, the host is reached again.

A laptop changes networks, a VPN is renewed, a host is restarted. None of it is the job's business, so it need not be
that of whoever watches; and who sends begins with the step that was cut off. It is tried for a bounded time, and only
what may pass: a key that has changed does not.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from gittrack import errors
from gittrack.launch.engine.position import Position
from gittrack.launch.jobs import stopping
from gittrack.launch.reached import At, Clone, Talk, reach
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.launch.engine.state import Container
    from gittrack.launch.jobs.following import Follower, Out

T = TypeVar("T")
FIRST, LONGEST = 0.5, 30.0  # seconds between two tries; each pause is twice the one before
_OF_ENGINE = frozenset(("hung-up", "daemon"))  # it was started again, or what joins us to it was killed
_PASSING = frozenset(("lost", "name", "refused", "timeout", "unreachable", "protocol", "jump", *_OF_ENGINE))


def reach_again(
    lost: errors.LinkLost, before: At, clone: Clone, talk: Talk, wait: Callable[[float], object] = time.sleep
) -> At:
    """The host of a connection that broke. `wait` passes the time; it may raise in order to give up.

    Raises `lost` when it does not answer for as long as the settings say, and HostFailed where trying again is of no
    use."""
    before.close()
    seconds = clone.settings.reconnect or 0
    if seconds <= 0:
        raise lost
    end = time.monotonic() + seconds
    talk.say(f"{lost.message}; trying to reach it again for {seconds:g} seconds")
    for pause in _pauses():
        left = end - time.monotonic()
        if left <= 0:
            raise lost
        wait(min(pause, left))
        try:
            at = reach(before.host, clone.environ, talk.ask)
        except errors.HostFailed as error:
            if error.kind not in _PASSING:
                raise
            continue
        try:
            at.engine  # noqa: B018 - raises; a host that was started again has sshd before its engine
            break
        except BaseException as error:
            at.close()
            if not isinstance(error, errors.HostFailed) or error.kind not in _PASSING:
                raise
    talk.say(f"{before.host.name} is reached again")
    return at


class Lasting:
    """Follows a job as `Follower` does, and goes on where that was when the connection broke. `close` it."""

    def __init__(self, at: At, clone: Clone, run_id: str, talk: Talk, tail: int | None = None) -> None:
        """`at` stays the caller's."""
        self._first = at
        self._at = at
        self._clone = clone
        self._run_id = run_id
        self._talk = talk
        self._position = Position(tail)
        self._lost: errors.LinkLost | None = None
        self._moved = threading.Condition()
        self._interrupted = threading.Event()
        self._follower = self._follow()

    def console(self, out: "Out") -> bool:
        """See `Follower.console`; after KeyboardInterrupt it may be called again, also while the host is not reached.

        Raises LinkLost when that was for too long, HostFailed."""
        try:
            return self._lasting(lambda: self._follower.console(out))
        except errors.LinkLost:
            if self._interrupted.is_set():
                return False
            raise

    def finish(self) -> "Container | None":
        """See `Follower.finish`. Raises LinkLost, HostFailed."""
        return self._lasting(lambda: self._follower.finish())

    @property
    def missing(self) -> int:
        return self._follower.missing

    @property
    def spoiled(self) -> str:
        return self._follower.spoiled

    @property
    def is_cut_short(self) -> bool:
        return self._follower.is_cut_short

    def stop(self, grace: int = stopping.GRACE) -> bool:
        """End the job; if the connection breaks, as soon as the host is reached again. Raises HostFailed."""
        while True:
            at = self._at
            try:
                return stopping.stop(at, self._run_id, grace)
            except errors.LinkLost:
                with self._moved:
                    self._moved.wait_for(lambda at=at: self._at is not at)  # type: ignore[misc]

    def interrupt(self) -> None:
        """End `console` from another thread."""
        self._interrupted.set()
        self._follower.interrupt()

    def close(self) -> None:
        """Look no more. What runs there goes on."""
        self._follower.leave()
        if self._at is not self._first:
            self._at.close()

    def _lasting(self, work: Callable[[], T]) -> T:
        while True:
            if self._lost is not None:
                self._again(self._lost)
            try:
                return work()
            except errors.LinkLost as error:
                self._lost = error
            except errors.HostFailed as error:
                if error.kind not in _OF_ENGINE:
                    raise
                self._lost = errors.LinkLost(error.message, error.hint, error.kind)

    def _again(self, lost: errors.LinkLost) -> None:
        self._follower.leave()
        at = reach_again(lost, self._at, self._clone, self._talk, self._wait)
        with self._moved:
            self._at = at
            self._moved.notify_all()
        self._lost = None
        self._follower = self._follow()

    def _wait(self, seconds: float) -> None:
        if self._interrupted.wait(seconds) and self._lost is not None:
            raise self._lost

    def _follow(self) -> "Follower":
        made: Follower = lazy("gittrack.launch.jobs.following").Follower(
            self._at, self._clone.paths, self._run_id, self._position, self._talk.say
        )
        return made


def _pauses() -> Iterator[float]:
    pause = FIRST
    while True:
        yield pause
        pause = min(2 * pause, LONGEST)
