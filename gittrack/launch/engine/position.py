"""How far an output was read, so that it is read on after a connection broke, without a gap and nothing twice.

An entry of a log is known by its moment, which the engine writes to the nanosecond, and by its number among those of
the same moment. Moments need not grow: a clock can be set back. Pure.
"""

from collections.abc import Iterable, Iterator

from gittrack.launch.engine.replayed import Replayed
from gittrack.launch.engine.state import moment
from gittrack.launch.engine.wire import ERR, OUT

Entry = tuple[int, bytes, bytes]  # which output, its moment in a form that sorts, what was printed
_PIECE = 16_384  # bytes: the engine cuts longer lines into pieces of that size
_SLACK = 3600.0  # seconds that a clock may be set back while nobody reads


class Position:
    """Where a reader is. `tail`: it began so many entries before the end, not at the first one."""

    def __init__(self, tail: int | None = None) -> None:
        self.tail = tail
        self._last: dict[int, tuple[bytes, int]] = {}  # of each output: the last moment, how many entries of it
        self._torn: set[int] = set()  # outputs of which the last line has lost its end
        size = [0]
        self._again = {OUT: Replayed(size), ERR: Replayed(size)}

    @property
    def has_begun(self) -> bool:
        return bool(self._last)

    @property
    def query(self) -> dict[str, str | int]:
        """What the engine is asked for, in order to go on."""
        if not self._last:
            return {"tail": "all" if self.tail is None else self.tail}
        times = [moment(stamp.decode("ascii", "replace")) for stamp, _ in self._last.values()]
        known = [time for time in times if time is not None]
        return {"since": f"{max(0.0, min(known) - _SLACK):.9f}"} if len(known) == len(times) else {}

    @property
    def number(self) -> int:
        """So many entries from the end, the last one that was read is among them."""
        return sum(count for _, count in self._last.values())

    def rest(self, entries: Iterable[Entry]) -> Iterator[tuple[int, bytes]]:
        """Of these, what is behind it; it moves along."""
        last = dict(self._last)
        same = dict.fromkeys(last, 0)
        for each in self._again.values():
            each.begin()
        for which, stamp, data in entries:
            if which in last:
                reached, count = last[which]
                same[which] += stamp == reached
                if (stamp == reached and same[which] <= count) or (stamp < reached and not same[which]):
                    continue
                del last[which]
            for new in self._again[which].fresh(stamp, data):
                self._move(which, stamp)
                yield which, self._mended(which, new)

    def _mended(self, which: int, data: bytes) -> bytes:
        """The `local` log of engines before 23 has no line ends behind lines that are cut into pieces. A short piece
        without one is the last of its line; of the very last it is not known whether there was one."""
        missing = b"\n" if which in self._torn else b""
        (self._torn.discard if data.endswith(b"\n") or len(data) >= _PIECE else self._torn.add)(which)
        return missing + data

    def _move(self, which: int, stamp: bytes) -> None:
        if not self._last and self.tail is not None:  # what the other output had before is not wanted either
            self._last = {OUT: (stamp, 0), ERR: (stamp, 0)}
        before, count = self._last.get(which, (b"", 0))
        self._last[which] = (stamp, count + 1 if stamp == before else 1)
