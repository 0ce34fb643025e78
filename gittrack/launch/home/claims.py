"""What may come from a host, decided without touching anything. A host is somebody else's machine, and what is in the
folder of a job was written by whatever ran in its container: names, sizes and cuts are claims until they were judged.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.core import codec, events, layout, parcels
from gittrack.errors import HostFailed
from gittrack.launch.link.protocol import Entry

MOST_FILES = 10_000  # process files of a run
MOST_CUTS = 200_000  # of a run; each is a commit
LARGEST_CONSOLE = 64 << 20  # bytes; a recorder writes a quarter of that, whatever a command prints
LARGEST_JOURNALS = 4 << 30  # bytes of all process files of a run; ten million metric lines have one
LONGEST_LINE = 8 << 20  # with more, no other clone would take the segment that it ends up in
LONGEST_CUTS = 64 << 20  # bytes of cuts that are looked at together
LARGEST_BLOB = 32_000_000  # of the files in git: a recorder puts no more than that of a whole parcel there
OVERLAP = 64  # bytes before those that are new which are read again: they must be what they were

NOTE = "0000000000000-0-0000.jsonl"  # a process file that says what was left out of the others

_REASONS = ("start", "checkpoint", "time", "final")
_STATES = (None, "completed", "failed", "killed", "crashed")
_FIXED = ("id", "snapshot", "base", "user", "writer")  # of run.json: no host has anything to add to these


class Odd(Exception):
    """What came is nothing that an attendant writes. Never leaves `mirror`."""


class Growth(NamedTuple):
    """Bytes of a file of the journal that are still to come. `overlap` is of what is here."""

    name: str
    start: int
    end: int
    overlap: int


class Known(NamedTuple):
    """A cut, and where its line ends in cuts.jsonl."""

    cut: events.Cut
    end: int


class Wanted(NamedTuple):
    """A file that a `kept` line says is kept."""

    sha256: str
    size: int
    in_git: bool


def refused(host: str, run_id: str, why: str) -> HostFailed:
    """Nothing more of this run is taken."""
    return HostFailed(
        f"what {host} says of run {run_id[: layout.SHORT]} is refused: {why}",
        "what came before stays as it is; look at the job's folder there: somebody has changed it",
        "refused",
    )


def sizes(listing: Iterable[Entry]) -> dict[str, int]:
    """The files of a journal in a listing of its folder. Raises Odd."""
    found: dict[str, int] = {}
    for entry in listing:
        if events.is_process_file(entry.name) or entry.name in (events.CONSOLE, events.CUTS):
            if entry.kind != "file":
                raise Odd(f"{entry.name} is a {entry.kind}")
            found[entry.name] = entry.size
    if found.get(events.CONSOLE, 0) > LARGEST_CONSOLE:
        raise Odd(f"its console has {found[events.CONSOLE]:,} bytes")
    if len(found) > MOST_FILES:
        raise Odd(f"it has {len(found):,} files")
    return found


def growth(there: Mapping[str, int], here: Mapping[str, int], covered: Mapping[str, int]) -> list[Growth]:
    """What is to be read, cuts last. `covered`: what the last cut that came covers. Raises Odd."""
    for name, size in here.items():
        if there.get(name, 0) < (size if name == events.CUTS else covered.get(name, 0)):
            raise Odd(f"{name} had {size:,} bytes, and has {there.get(name, 0):,}")
    names = [*events.in_order(there), *(name for name in (events.CONSOLE, events.CUTS) if name in there)]
    grown = [name for name in names if there[name] > here.get(name, 0)]
    return [Growth(name, at := here.get(name, 0), there[name], min(at, OVERLAP)) for name in grown]


def lost(there: Mapping[str, int], here: Mapping[str, int], covered: Mapping[str, int]) -> dict[str, int]:
    """Files of which a host that lost power may have less than it had, for all that no cut covers: up to where what is
    here still counts."""
    shrunk = [name for name, size in here.items() if name != events.CUTS and there.get(name, size) < size]
    return {name: covered.get(name, 0) for name in shrunk}


def cuts(text: bytes, at: int, known: Sequence[events.Cut]) -> list[Known]:
    """The cuts in new bytes of cuts.jsonl, which begin at `at`, behind those that are known. Raises Odd."""
    found: list[Known] = []
    last = known[-1] if known else None
    for line in events.whole_lines(text).splitlines(keepends=True):
        at += len(line)
        cut = events.cut_of(events.parse_line(line) or {}, len(known) + len(found))
        if cut is None:  # torn by a full disk, and written again
            continue
        if last is not None and last.reason == "final":
            raise Odd("it goes on after its end")
        if why := _cut_problem(cut, last.files if last else {}):
            raise Odd(f"cut {cut.number}: {why}")
        found.append(Known(cut, at))
        last = cut
    return found


def journals(files: Mapping[str, int]) -> int:
    """Bytes of process files."""
    return sum(size for name, size in files.items() if events.is_process_file(name))


class Ending(NamedTuple):
    """The last cut of a run that has written more than is taken, and NOTE. Of what the host says and nothing else, so
    that it is the same in every home."""

    cut: events.Cut
    note: bytes


def ending(last: events.Cut, final: events.Cut) -> Ending:
    """`last`: the last cut that is taken; `final`: that of the host, which is beyond. How the run ended stands in its
    first journal, which is short where nobody means harm."""
    whole, kept = journals(final.files), journals(last.files)
    text = f"its journals have {whole:,} bytes: what follows the first {kept:,} was left out"
    events_of = {"e": "process", "t": 0.0, "w": final.w}, {"e": "warning", "t": 0.0, "text": text, "w": final.w}
    note = b"".join(codec.dumps(event) for event in events_of)
    rest = {name: end for name, end in final.files.items() if name in (events.STARTER, events.CONSOLE)}
    files = {**last.files, **rest} if journals({**last.files, **rest}) <= LARGEST_JOURNALS else dict(last.files)
    if NOTE not in final.files:
        files[NOTE] = len(note)
    cut = events.Cut(last.number + 1, files, "final", final.status or "crashed", final.w)
    return Ending(cut, note)


def is_covered(cut: events.Cut, here: Mapping[str, int]) -> bool:
    """Whether all that the cut speaks of is there."""
    return all(end <= here.get(name, 0) for name, end in cut.files.items() if end)


def wanted(line: bytes) -> Wanted | None:
    """The file that a line of a journal says is kept."""
    event: Mapping[str, Any] = events.parse_line(line) or {}
    if event.get("e") != "kept" or not events.is_sound(event):
        return None
    return Wanted(event["sha256"], event["size"], event["in"] == parcels.GIT)


def start_problem(lines: Sequence[bytes], run_id: str, sent: Mapping[str, Any]) -> str | None:
    """What is wrong with the first two lines of a journal. `sent`: run.json as it was sent there, as far as known."""
    first, second = (events.parse_line(line) or {} for line in lines)
    kinds = first.get("e"), second.get("e"), type(second.get("default") or [])
    if kinds != ("process", "start", list) or not events.is_sound(second):
        return "its journal does not begin as that of a run"
    facts = second["run"]
    if facts.get("id") != run_id:
        return "it is another run"
    changed = [name for name in _FIXED if name in sent and sent[name] != facts.get(name)]
    return f"its {changed[0]} is not what was sent" if changed else None


def is_right(data: bytes, file: Wanted) -> bool:
    return len(data) == file.size and hashlib.sha256(data).hexdigest() == file.sha256


def _cut_problem(cut: events.Cut, before: Mapping[str, int]) -> str | None:
    if cut.number >= MOST_CUTS:
        return "there are too many"
    if cut.reason not in _REASONS or cut.status not in _STATES:
        return "it is none that an attendant makes"
    if any(name != os.path.basename(name) or len(name) > 255 for name in cut.files) or len(cut.files) > MOST_FILES:
        return "it names what is no file of a journal"
    if any(cut.files.get(name, 0) < end for name, end in before.items()):
        return "it goes back"
    return None
