"""What an archive's files say: a line of its list for each run, and a run's commits one after the other.

docs/format.md §10 in code. A table of 100,000 runs is read from these lines, so each is parsed once, and its documents
are cut out of it as they stand.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gittrack.core import codec, layout

DOCUMENTS = ("run", "status", "params", "summary")  # keys of a line, in the order of the files of a record
COMMITS = "commits"

_HEAD = re.compile(r'\{"code":(null|"[0-9a-f]{40,64}"),"cuts":(\d{1,9}),"format":(\d{1,9}),"id":"([0-9a-f]{20})",')
_TAIL = re.compile(r',"tip":"([0-9a-f]{40,64})","tree":"([0-9a-f]{40,64})"\}\Z')
_ORDER = ("params", "run", "status", "summary")  # as they stand in a canonical line
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_scan = json.JSONDecoder().raw_decode
_UNSOUND = (ValueError, KeyError, TypeError, IndexError, RecursionError)


class Line(NamedTuple):
    """A run in the list of an archive."""

    id: str
    tip: str  # the commit at which its ref stood
    tree: str  # of that commit
    cuts: int  # commits that the run has
    code: str | None  # its snapshot
    files: tuple[bytes | None, ...]  # `format`, run.json, status.json, params.json, summary.json of the record
    values: tuple[dict[str, Any], ...]  # the last four, parsed


def encode(
    run_id: str, tip: str, tree: str, cuts: int, code: str | None, number: int, values: Mapping[str, Any]
) -> bytes:
    """The line of a run. `number`: its format; `values`: DOCUMENTS."""
    fixed = {"code": code, "cuts": cuts, "format": number, "id": run_id, "tip": tip, "tree": tree}
    return codec.dumps({**{name: values[name] for name in DOCUMENTS}, **fixed})


def lines(data: bytes) -> Iterator[Line]:
    """The runs that a segment of a list names. Purged ones, and lines that are none, are passed over."""
    for text in _texts(data):
        found = _canonical(text) or _general(text)
        if found is not None:
            yield found


def tips(data: bytes) -> Iterator[tuple[str, str, bool]]:
    """(id, tip, whether it was purged) of each line of a segment, without reading the documents."""
    for text in _texts(data):
        head, tail = _HEAD.match(text), _TAIL.search(text, max(0, len(text) - 160))
        if head and tail:
            yield head[4], tail[1], False
        else:
            try:
                fields = codec.loads(text)
                run_id, tip, gone = fields["id"], fields["tip"], bool(fields.get("purged"))
            except _UNSOUND:
                continue
            if _is_sound(run_id, tip, tip):
                yield run_id, tip, gone


def line_of(data: bytes, run_id: str) -> Line | None:
    """The line of one run, if this segment has it: found without parsing the others."""
    needle, at = b'"id":"%s"' % run_id.encode(), 0
    while (at := data.find(needle, at)) >= 0:
        start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1
        for found in lines(data[start : end or len(data)]):
            if found.id == run_id:
                return found
        at = end or len(data)
    return None


def join(commits: Iterable[bytes]) -> bytes:
    """The file `commits` of a run."""
    return b"".join(b"commit %d\0%s" % (len(data), data) for data in commits)


def split(data: bytes) -> list[bytes]:
    """The commits in such a file. Raises ValueError for what is none."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        nul = data.index(b"\0", at, at + 20)
        kind, _, size = data[at:nul].partition(b" ")
        at = nul + 1 + int(size)
        if kind != b"commit" or at > len(data) or not size.isdigit():
            raise ValueError("not a list of commits")
        found.append(data[nul + 1 : at])
    return found


def _texts(data: bytes) -> list[str]:
    return data.decode(errors="replace").split("\n")[:-1]  # a torn last line is none


def _canonical(text: str) -> Line | None:
    """A line in the form in which it is to be written: parsed once, its documents cut out."""
    head = _HEAD.match(text)
    if head is None:
        return None
    cut: dict[str, tuple[bytes, Any]] = {}
    at = head.end() - 1
    try:
        for name in _ORDER:
            sign = f',"{name}":'
            if not text.startswith(sign, at):
                return None
            start = at + len(sign)
            value, at = _scan(text, start)
            cut[name] = (text[start:at].encode() + b"\n", value)
        if '"$"' in text:
            cut = {name: (data, codec.decode(value)) for name, (data, value) in cut.items()}
    except _UNSOUND:
        return None
    tail = _TAIL.match(text, at)
    if tail is None or not all(isinstance(value, dict) for _, value in cut.values()):
        return None
    code, cuts, number, run_id = head.groups()
    files = (layout.format_line(int(number)), *(cut[name][0] for name in DOCUMENTS))
    values = tuple(cut[name][1] for name in DOCUMENTS)
    return Line(run_id, tail[1], tail[2], int(cuts), None if code == "null" else code[1:-1], files, values)


def _general(text: str) -> Line | None:
    """Any other line that says the same."""
    try:
        fields = codec.loads(text)
        run_id, tip, tree, code = (fields.get(name) for name in ("id", "tip", "tree", "code"))
        if fields.get("purged") or not _is_sound(run_id, tip, tree, code or tip):
            return None
        values = tuple(fields[name] for name in DOCUMENTS)
        if not all(isinstance(value, dict) for value in values):
            return None
        files = (layout.format_line(int(fields["format"])), *map(codec.dumps, values))
        return Line(run_id, tip, tree, int(fields["cuts"]), code, files, values)
    except (*_UNSOUND, AttributeError):
        return None


def _is_sound(run_id: Any, *oids: Any) -> bool:
    return isinstance(run_id, str) and layout.is_id(run_id) and all(isinstance(o, str) and _OID.match(o) for o in oids)
