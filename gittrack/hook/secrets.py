"""Secrets in the lines that a commit adds.

The patch is searched as it comes, by blocks of megabytes and with the prefilter of `core.secret_scan`; where in which
file a line stands is worked out only for what was found. The `+` before each added line becomes a newline, which keeps
every offset and lets patterns see where a line begins.
"""

import itertools
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gittrack.config.settings import Settings
from gittrack.core.redact import Redactor
from gittrack.core.secret_scan import Scanner
from gittrack.git import command
from gittrack.hook import large_files, staged
from gittrack.hook.finding import Finding
from gittrack.hook.place import Place
from gittrack.hook.pragma import is_allowed
from gittrack.lazy import lazy

_BLOCK = 8 << 20
_MOST_EXCLUDED = 200
_MOST_HITS = 200
_HUNK = re.compile(rb"\n@@ -\S+ \+(\d+)")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_ALLOW = (
    "if it is none: the comment `pragma: allowlist secret` on its line, or redact: {allow: [...]} in gittrack.yaml "
    "with the text or the name of the rule"
)
_TAKE_OUT = "take it out of the file, read it from the environment instead, and `git add` again; one that was ever \
pushed must be replaced"


class Hit(NamedTuple):
    path: str
    line: int
    rule: str


def findings(
    place: Place, wanted: staged.Scope, changes: Sequence[staged.Change], searched: set[str], settings: Settings
) -> list[Finding]:
    """Those in files of `searched`. Raises GitFailed."""
    redactor = settings.redactor({})
    skipped = [one.path for one in changes if one.path not in searched][:_MOST_EXCLUDED]
    names = {one.path for one in changes}
    hits: set[Hit] | None = None
    for comparison in wanted.comparisons:
        unshown: list[bool] = []
        found = itertools.chain(
            _search(place, staged.patch_command(wanted, comparison, skipped), redactor, unshown),
            _in_hidden(place, wanted, comparison, changes, searched, redactor, unshown),
        )
        some = set(itertools.islice((hit for hit in found if hit.path in names), _MOST_HITS))
        hits = some if hits is None else hits & some
        if not hits:
            return []
    return [
        Finding(f"{hit.path}:{hit.line}", f"looks like a secret: {hit.rule}", (_TAKE_OUT, _ALLOW))
        for hit in sorted(hits or ())
    ]


def _in_hidden(
    place: Place,
    wanted: staged.Scope,
    comparison: tuple[str, ...],
    changes: Sequence[staged.Change],
    searched: set[str],
    redactor: Redactor,
    unshown: Sequence[bool],
) -> Iterator[Hit]:
    """What is in texts that the patch only names. `unshown`: whether it names any, once it was read."""
    if not unshown:
        return
    files = [one for one in changes if one.path in searched]
    hidden = tuple(_hidden(place, files))
    if hidden:
        args = staged.patch_command(wanted._replace(paths=hidden), comparison, (), "--text")
        yield from _search(place, args, redactor, [])
    for each in lazy("gittrack.hook.wide").found(place, wanted, comparison, files, redactor):
        yield Hit(*each)


def _hidden(place: Place, changes: Sequence[staged.Change]) -> list[str]:
    """Texts of which .gitattributes say that their changes are not to be shown."""
    given = b"".join(os.fsencode(one.path) + b"\0" for one in changes)
    fields = place.git.fields("check-attr", "--cached", "-z", "--stdin", "diff", input=given, env=place.index_env)
    unset = {path for path, value in zip(fields[::3], fields[2::3], strict=False) if value == "unset"}
    some = [one for one in changes if one.path in unset][:_MOST_EXCLUDED]
    return [one.path for one in some if b"\0" not in large_files.start(place.git, one.oid)]


def _search(place: Place, args: Sequence[str], redactor: Redactor, unshown: list[bool]) -> Iterator[Hit]:
    """What the patch has. `unshown` gets an element where files are only named as binary."""
    off = {text.lower() for text in redactor.allow}
    scanner = Scanner(rule for rule in redactor.rules if rule.name.lower() not in off)
    with place.git.popen(*args, env=place.index_env, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        head = b"\n"  # the header of the file, and of the hunk, in which the block begins
        rest = b""
        while block := process.stdout.read(_BLOCK):
            data = rest + block
            end = data.rfind(b"\n") + 1
            data, rest = data[:end], data[end:]
            if b"\nBinary files " in data:
                unshown.append(True)
            yield from _in_block(head + data, scanner, redactor)
            head = _head(head + data)
        yield from _in_block(head + rest, scanner, redactor)
    if process.returncode:
        raise command.failure(("diff",), process.returncode, b"", place.paths)


def _in_block(data: bytes, scanner: Scanner, redactor: Redactor) -> Iterator[Hit]:
    plain = data.replace(b"\n+", b"\n\n")
    seen = set[int]()
    for start, _, _ in scanner.spans(plain):
        begin = data.rfind(b"\n", 0, start + 1) + 1 if data[start : start + 1] != b"\n" else start + 1
        if begin in seen or data[begin : begin + 1] != b"+":
            continue
        seen.add(begin)
        end = data.find(b"\n", begin)
        line = data[begin + 1 : end if end >= 0 else len(data)]
        if is_allowed(line, _line_before(data, begin)):
            continue
        rules = {name for name, secret in redactor.find(line) if not _was_there(data, secret)}
        place = _place(data, begin) if rules else None
        if place:
            yield from (Hit(*place, name) for name in rules)


def _line_before(data: bytes, begin: int) -> bytes:
    return data[data.rfind(b"\n", 0, begin - 1) + 1 : begin]


def _was_there(data: bytes, secret: bytes) -> bool:
    """Whether a line that goes had it: it was moved, or indented, and is history anyway."""
    return re.search(rb"\n-(?!-- )[^\n]*" + re.escape(secret), data) is not None


def _place(data: bytes, begin: int) -> tuple[str, int] | None:
    """Path and number of the line that begins there; None for a line of a header."""
    start = data.rfind(b"\ndiff --git ", 0, begin)
    hunk = _last_hunk(data, max(start, 0), begin)
    named = data.find(b"\n+++ ", max(start, 0), begin)
    if start < 0 or hunk is None or named < 0 or begin <= hunk.start():
        return None
    name = _path(data[named + 5 : data.find(b"\n", named + 5)])
    first = data.find(b"\n", hunk.end())
    added = sum(data.count(sign, first, begin - 1) for sign in (b"\n+", b"\n "))
    return name, int(hunk[1]) + added


def _last_hunk(data: bytes, start: int, end: int) -> "re.Match[bytes] | None":
    found = None
    for match in _HUNK.finditer(data, start, end):
        found = match
    return found


def _path(text: bytes) -> str:
    """`b/path` as git writes it: quoted when it holds what a terminal would not show, with a tab after blanks."""
    text = text.removesuffix(b"\t")
    if text.startswith(b'"'):
        text = _ESCAPE.sub(_unescaped, text[1:-1])
    return text.removeprefix(b"b/").decode("utf-8", "surrogateescape")


def _unescaped(match: "re.Match[bytes]") -> bytes:
    code = match[1]
    return bytes((int(code, 8),)) if len(code) == 3 else _NAMED.get(code, code)


def _head(data: bytes) -> bytes:
    """What the next block has to know: the last file's header and its last hunk, advanced to the end of the block."""
    start = max(data.rfind(b"\ndiff --git "), 0)
    named = data.find(b"\n+++ ", start)
    hunk = _last_hunk(data, start, len(data))
    if named < 0 or hunk is None:
        return data[start:]
    first = data.find(b"\n", hunk.end())
    line = int(hunk[1]) + sum(data.count(sign, first, len(data) - 1) for sign in (b"\n+", b"\n "))
    return data[start : data.find(b"\n", named + 1)] + b"\n@@ -0 +%d @@\n" % line
