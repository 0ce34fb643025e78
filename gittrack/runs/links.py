"""Which commits of the user's have to do with which runs, kept through amend and rebase.

A commit that a run became says so in its message (`Track-Run: <id>`), but a squash drops messages, and the commit that
a run was based on never had one. So git's hooks write down what was made of what, in `<common dir>/track/links.jsonl`:
lines that are only appended, `{"commit": oid, "run": id}` and `{"from": oid, "to": oid}` (docs/format.md §11). Losing
the file loses nothing that is in commits and records.

A hook imports this on every commit, so it imports next to nothing.
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gittrack.git.discover import Paths
from gittrack.lazy import lazy

NAME = "links.jsonl"
TRAILER = "Track-Run"

_TRAILER = re.compile(rf"^{TRAILER}:[ \t]*([0-9a-f]{{20}})[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_RUN = re.compile(r"[0-9a-f]{20}\Z")


class Links(NamedTuple):
    """What the file says."""

    runs: dict[str, list[str]]  # commit -> runs
    commits: dict[str, list[str]]  # run -> commits
    before: dict[str, list[str]]  # commit -> what it was made of
    after: dict[str, list[str]]  # commit -> what was made of it


def path(paths: Paths) -> str:
    return os.path.join(paths.common_dir, "track", NAME)


def add(paths: Paths, commit: str, run: str) -> bool:
    """Write down that `commit` has to do with `run`; False when that is known. Raises CannotWrite."""
    if run in read(paths).runs.get(commit, ()):
        return False
    _append(paths, [{"commit": commit, "run": run}])
    return True


def rewritten(paths: Paths, pairs: Iterable[tuple[str, str]]) -> None:
    """Write down what git made of what: (old commit, new commit). Raises CannotWrite."""
    _append(paths, [{"from": old, "to": new} for old, new in pairs if old != new])


def read(paths: Paths) -> Links:
    """All of it. Lines that a crash has cut short, or that say nothing of this kind, are passed over."""
    found = Links({}, {}, {}, {})
    try:
        with open(path(paths), "rb") as file:
            for text in file:
                _take(found, text)
    except FileNotFoundError:
        pass
    return found


def runs_of(paths: Paths, commit: str, known: Links | None = None) -> list[str]:
    """The runs that `commit`, or what it was made of, is linked with; those that it names itself are in its message."""
    links = known or read(paths)
    return list(dict.fromkeys(run for one in versions(links, commit) for run in links.runs.get(one, ())))


def commits_of(paths: Paths, run: str, known: Links | None = None) -> list[str]:
    """The commits that are linked with `run`, as they are now: of rewritten ones what was made of them."""
    links = known or read(paths)
    found = (one for commit in links.commits.get(run, ()) for one in newest(links, commit))
    return list(dict.fromkeys(found))


def versions(links: Links, commit: str) -> list[str]:
    """`commit` and all that it was made of, itself first."""
    return _walk(commit, lambda one: links.before.get(one, ()))


def newest(links: Links, commit: str) -> list[str]:
    """What was made of `commit` in the end; itself when it was never rewritten."""
    return [one for one in _walk(commit, lambda one: links.after.get(one, ())) if one not in links.after] or [commit]


def named(message: str | bytes) -> list[str]:
    """The runs that a commit's message names in trailers."""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    return list(dict.fromkeys(one.lower() for one in _TRAILER.findall(text)))


def _walk(start: str, following: Callable[[str], Iterable[str]]) -> list[str]:
    """`start` and what can be reached from it, each once: two amends may lead in a circle."""
    found, waiting = {start: None}, [start]
    while waiting:
        for one in following(waiting.pop()):
            if one not in found:
                found[one] = None
                waiting.append(one)
    return list(found)


def _take(links: Links, text: bytes) -> None:
    try:
        line = json.loads(text)
        if "run" in line:
            commit, run = line["commit"], line["run"]
            if _OID.match(commit) and _RUN.match(run):
                _put(links.runs, commit, run)
                _put(links.commits, run, commit)
        elif _OID.match(line["from"]) and _OID.match(line["to"]):
            _put(links.before, line["to"], line["from"])
            _put(links.after, line["from"], line["to"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return


def _put(table: dict[str, list[str]], key: str, value: str) -> None:
    values = table.setdefault(key, [])
    if value not in values:
        values.append(value)


def _append(paths: Paths, lines: list[dict[str, str]]) -> None:
    """One write of whole lines, after the newline that a crash may have left out. Hooks take turns."""
    if not lines:
        return
    descriptor = lazy("gittrack.git.trackdir").open_file(paths.common_dir, NAME)
    try:
        with contextlib.suppress(OSError):  # no flock on this file system
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        end = os.lseek(descriptor, 0, os.SEEK_END)
        torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        data = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        os.write(descriptor, b"\n" * torn + data)
    except OSError as error:
        raise lazy("gittrack.git.loose").cannot_write(error, path(paths)) from error
    finally:
        os.close(descriptor)
