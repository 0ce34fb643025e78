"""The journal of a run at a host, copied file by file as it grows: the part of bringing it home that only copies."""

import contextlib
import os
from collections.abc import Mapping

from gittrack.core import events
from gittrack.launch.home import claims
from gittrack.launch.home.claims import Ending, Growth, Known, Odd, Wanted
from gittrack.launch.home.kept_files import AT_ONCE, AT_ONCE_BYTES, Part, make_sure_of_room, read_many
from gittrack.launch.link.protocol import Link
from gittrack.runs import away, live
from gittrack.store import durable


class Copy:
    """A live folder that is the copy of `there`, as far as it has come. Who uses it holds the folder's lock; after a
    failure of `accept` a new one is made."""

    def __init__(self, link: Link, there: str, directory: str) -> None:
        self.cuts = live.read_cuts(directory)  # those that are here
        self.waits: Known | None = None  # the first one of those at the host of which the journals are not here
        self.is_cut_short = False  # the host has more than is taken
        self._ending: Ending | None = None  # of such a run
        self._link = link
        self._there = there
        self._directory = directory
        self._cuts_at = self._settled()  # the size of cuts.jsonl here
        self._text = b""  # what follows it at the host
        self._ready: list[Known] = []  # cuts in `_text` of which the journals are here
        self._begun = False
        self._lines: dict[str, int] = {}  # how long the last line of a journal is so far
        self._changed: set[str] = set()  # files that are not flushed
        self._scanned = dict(self.cuts[-1].files) if self.cuts else {}  # up to where files that are kept are here
        self._looked: dict[str, int] = {}  # the same, while they are being brought

    def bring(self) -> bool:
        """Copy what is new; whether anything was. Raises Odd, CannotWrite, OSError, HostFailed, LinkLost."""
        listing = self._link.list(self._there)
        if listing is None:
            return False
        away.touch(self._directory)
        return self._bring_journal(claims.sizes(listing))

    def glance(self) -> None:
        """Copy what has grown of the journals alone, for who looks meanwhile: no cut is due before its files are here.
        Raises as `bring`."""
        there = claims.sizes(self._link.list(self._there) or ())
        there.pop(events.CUTS, None)
        if claims.journals(there) <= claims.LARGEST_JOURNALS:
            self._bring_files(claims.growth(there, self._sizes(there), self._covered()))

    def _bring_journal(self, there: Mapping[str, int]) -> bool:
        """Copy what has grown. Cuts are kept in memory: their turn comes last."""
        here = self._sizes(there)
        here[events.CUTS] = self._cuts_at + len(self._text)
        grown = claims.growth(there, here, self._covered())
        if claims.journals(there) > claims.LARGEST_JOURNALS:
            return self._bring_part(there, grown)
        self._bring_files(grown)
        sizes = {name: max(there.get(name, 0), here.get(name, 0)) for name in {*there, *here}}
        found = claims.cuts(self._text, self._cuts_at, self.cuts)
        self.waits = next((known for known in found if not claims.is_covered(known.cut, sizes)), None)
        self._ready = found[: found.index(self.waits)] if self.waits else found
        return bool(grown)

    def _bring_part(self, there: Mapping[str, int], grown: list[Growth]) -> bool:
        """There is more than is taken: what the cuts cover that are not beyond that, and how the run ended. What is
        here already without being covered stays."""
        self.is_cut_short = True
        self._bring_files([one for one in grown if one.name == events.CUTS])
        found = claims.cuts(self._text, self._cuts_at, self.cuts)
        within = [known for known in found if claims.journals(known.cut.files) <= claims.LARGEST_JOURNALS]
        self.waits = next((known for known in within if not claims.is_covered(known.cut, there)), None)
        self._ready = within[: within.index(self.waits)] if self.waits else within
        last = (self._ready[-1].cut if self._ready else None) or (self.cuts[-1] if self.cuts else None)
        final = found[-1].cut if found and len(within) < len(found) and found[-1].cut.reason == "final" else None
        if last is None and len(found) > len(within):
            raise Odd(f"its journals have {claims.journals(there):,} bytes")
        if last is None or self.waits:
            return bool(grown)
        if final is not None:
            self._ending = claims.ending(last, final)
        wanted = self._ending.cut.files if self._ending else last.files
        part = [one._replace(end=min(one.end, wanted.get(one.name, 0))) for one in grown if one.name != events.CUTS]
        self._bring_files([one for one in part if one.end > one.start])
        return bool(grown)

    def _sizes(self, there: Mapping[str, int]) -> dict[str, int]:
        """Of the journals that are here, without what the host does not have any more. Raises Odd, OSError."""
        here = {name: _size(self._path(name)) for name in self._names(there)}
        claims.growth(there, here, self._covered())  # nothing is cut off for who says what cannot be
        for name, at in claims.lost(there, here, self._covered()).items():
            here[name] = self._forget(name, at)
        return here

    def _covered(self) -> Mapping[str, int]:
        """What no journal may take back."""
        cuts = [*self.cuts[-1:], *(known.cut for known in self._ready[-1:])]
        return cuts[-1].files if cuts else {}

    def _forget(self, name: str, at: int) -> int:
        """A host that lost power had not flushed what no cut covers: it says something else from there on."""
        os.truncate(self._path(name), at)
        self._lines.pop(name, None)
        for known in (self._scanned, self._looked):
            known[name] = min(known.get(name, 0), at)
        self._begun = self._begun and bool(at or name != events.STARTER)
        return at

    def _names(self, there: Mapping[str, int]) -> list[str]:
        names = {*live.process_files(self._directory), *there, events.CONSOLE} - {events.CUTS}
        return [name for name in names if name in there or os.path.exists(os.path.join(self._directory, name))]

    def _bring_files(self, grown: list[Growth]) -> None:
        """As many at a time as fit; the bytes before the first new one must be what they were. Raises CannotWrite."""
        make_sure_of_room(self._directory, sum(one.end - one.start for one in grown))
        while grown:
            parts: list[Part] = []
            left: list[Growth] = []
            room = AT_ONCE_BYTES
            for one in grown:
                size = min(room, one.end - one.start) if len(parts) < AT_ONCE else 0
                if size:
                    parts.append(Part(f"{self._there}/{one.name}", one.start - one.overlap, one.overlap + size))
                if size < one.end - one.start:
                    left.append(one._replace(start=one.start + size, overlap=min(one.start + size, claims.OVERLAP)))
                room -= size
            found = read_many(self._link, parts)
            if found is None:
                raise Odd("its journal is not what it was a moment ago")
            for one, data in zip(grown, found, strict=False):
                if data[: one.overlap] != self._last(one.name, one.start, one.overlap):
                    left = [each for each in left if each.name != one.name] + [self._anew(one)]
                    continue
                self._append(one.name, data[one.overlap :])
            grown = left

    def _anew(self, one: Growth) -> Growth:
        """From where a cut covers it. Raises Odd."""
        at = self._covered().get(one.name, 0)
        if one.name == events.CUTS or at >= one.start:
            raise Odd(f"{one.name} says something else than before")
        return one._replace(start=self._forget(one.name, at), overlap=min(at, claims.OVERLAP))

    def _last(self, name: str, at: int, size: int) -> bytes:
        if not size:  # the file may not be there yet
            return b""
        if name == events.CUTS and at - size >= self._cuts_at:
            return self._text[at - size - self._cuts_at : at - self._cuts_at]
        with open(os.path.join(self._directory, name), "rb") as file:
            file.seek(at - size)
            found = file.read(size)
        return found + self._text[: size - len(found)] if name == events.CUTS else found

    def _append(self, name: str, data: bytes) -> None:
        if name == events.CUTS:
            self._text += data
            if len(self._text) > claims.LONGEST_CUTS:
                raise Odd(f"{name} has {len(self._text):,} bytes that are no cuts")
            return
        if name != events.CONSOLE:
            lengths = [len(line) for line in data.split(b"\n")]
            lengths[0] += self._lines.get(name, 0)
            self._lines[name] = lengths[-1]
            if max(lengths) > claims.LONGEST_LINE:
                raise Odd(f"{name} has a line of {max(lengths):,} bytes")
        with open(os.path.join(self._directory, name), "ab") as file:  # buffered: all of it, or an error
            file.write(data)
        self._changed.add(name)

    def has_begun(self, run_id: str) -> bool:
        """Whether its first lines are here; they are the ones that are expected."""
        if not self._begun:
            with contextlib.suppress(FileNotFoundError), open(self._path(events.STARTER), "rb") as file:
                lines = [file.readline(claims.LONGEST_LINE) for _ in range(2)]
                if lines[1].endswith(b"\n"):
                    sent = away.read(self._directory)
                    why = claims.start_problem(lines, run_id, (sent.start.get("run") or {}) if sent else {})
                    if why:
                        raise Odd(why)
                    self._begun = True
        return self._begun

    def wanted(self) -> list[Wanted]:
        """The files that lines say are kept, which nobody looked for yet."""
        found: list[Wanted] = []
        for name in live.process_files(self._directory):
            at = self._scanned.get(name, 0)
            if _size(self._path(name)) <= at:
                continue
            with open(self._path(name), "rb") as file:
                file.seek(at)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    at += len(line)
                    if b'"kept"' in line and (one := claims.wanted(line)) is not None:
                        found.append(one)
            self._looked[name] = at
        return found

    def accept(self) -> None:
        """Write down the cuts of which all is here. What they cover is on the disk first."""
        self._scanned.update(self._looked)
        if self._ending:
            self._write_note(self._ending)
        if not self._ready and not self._ending:
            return
        durable.sync([self._path(name) for name in self._changed], self._directory)
        self._changed.clear()
        end = self._ready[-1].end if self._ready else self._cuts_at
        with open(self._path(events.CUTS), "ab") as file:
            file.write(self._text[: end - self._cuts_at])
            if self._ending:
                file.write(events.cut_line(self._ending.cut))
            file.flush()
            os.fsync(file.fileno())
        self._text = self._text[end - self._cuts_at :]
        self._cuts_at = end
        self.cuts += [known.cut for known in self._ready]
        self._ready = []
        if self._ending:
            self.cuts.append(self._ending.cut)

    def _write_note(self, ending: Ending) -> None:
        if claims.NOTE in ending.cut.files and not (self.cuts and claims.NOTE in self.cuts[-1].files):
            with open(self._path(claims.NOTE), "wb") as file:
                file.write(ending.note)
            self._changed.add(claims.NOTE)

    def _settled(self) -> int:
        """How much of cuts.jsonl counts. A power cut may have taken the end of a file, or of a journal that it covers:
        then it comes again."""
        path = self._path(events.CUTS)
        sizes = {name: _size(self._path(name)) for name in (*live.process_files(self._directory), events.CONSOLE)}
        text = _read(path)
        at = len(events.whole_lines(text))
        if self.cuts and not claims.is_covered(self.cuts[-1], sizes):
            known: list[Known] = claims.cuts(text, 0, [])
            whole = [one for one in known if claims.is_covered(one.cut, sizes)]
            self.cuts, at = [one.cut for one in whole], (whole[-1].end if whole else 0)
        if at < len(text):
            os.truncate(path, at)
        return at

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _read(path: str) -> bytes:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return b""
