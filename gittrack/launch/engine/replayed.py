"""What an engine tells twice while its log is followed.

When a log file is full, the engine begins a new one; engines before 23 then tell the beginning of that again to who
follows, as much as they had told. Lines are known by their moments. The pieces of one long line have the same moment:
of these, pieces are taken for told again when they are, to the byte, all that came since the first of them, and that
was unlike all others. Nothing is held back below the size of a file. Pure.
"""

from collections.abc import Sequence

_FILE = 32 << 20  # bytes; no file of a log is full before that
_KNOWN = 1 << 15  # moments, twice
_FAR = 512  # pieces of a line


class Replayed:
    """One output of a log that is followed."""

    def __init__(self, size: list[int]) -> None:
        """`size`: of what was told, of all outputs of the log."""
        self._size = size
        self._last = b""
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._pieces: list[int] = []  # of the last moment: what stands for each
        self._counts: dict[int, int] = {}
        self._next: int | None = None  # which of the pieces comes next, if they are told again
        self._held: list[bytes] = []
        self._again = False  # lines before the last moment were told again

    def begin(self) -> None:
        """It is asked for anew: what was held back comes again."""
        self._forget()

    def fresh(self, stamp: bytes, data: bytes) -> Sequence[bytes]:
        """What is new of an entry, and of those before it that were held back; all of the same moment."""
        if stamp == self._last:
            return self._piece(data) if self._again or self._size[0] >= _FILE else self._taken(data)
        if stamp < self._last and (stamp in self._young or stamp in self._old):
            self._again = True
            return ()
        if len(self._young) >= _KNOWN:
            self._old, self._young = self._young, set()
        self._young.add(stamp)
        self._last = stamp
        self._pieces.clear()
        self._counts.clear()
        self._forget()
        return self._taken(data)

    def _piece(self, data: bytes) -> Sequence[bytes]:
        known = hash(data)
        at = self._next if self._next is not None else 0 if self._again else self._first(known)
        if at is None or self._pieces[at] != known:
            out = [*self._held, data]
            self._forget()
            return [each for one in out for each in self._taken(one)]
        self._held.append(data)
        self._next = at + 1
        if self._next == len(self._pieces):
            self._forget()
        return ()

    def _first(self, known: int) -> int | None:
        """Where the only piece like it is, near the end."""
        if self._counts.get(known) != 1:
            return None
        start = max(0, len(self._pieces) - _FAR)
        return self._pieces.index(known, start) if known in self._pieces[start:] else None

    def _taken(self, data: bytes) -> Sequence[bytes]:
        known = hash(data)
        self._size[0] += len(data)
        self._pieces.append(known)
        self._counts[known] = self._counts.get(known, 0) + 1
        return (data,)

    def _forget(self) -> None:
        self._next = None
        self._held = []
        self._again = False
