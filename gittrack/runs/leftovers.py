"""Commits that archiving has left over: the archive has them as data, nothing reaches them, and they are removed.

Whoever takes the refs away writes down of which runs, before; hundreds of commits make it due. What is written down
and not so does no harm: of a run that has a ref (again) nothing is removed, nor of one that no archive here has.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gittrack.core import archive, layout
from gittrack.git import discarding, objects, snapshot, trackdir
from gittrack.git.discarding import Discarded
from gittrack.git.discover import Paths
from gittrack.git.objects import Object
from gittrack.git.repository import RefChange, Repository
from gittrack.runs import archives

NOTE = "leftovers"  # in <common dir>/track
DUE = 500  # commits; git begins a gc at 6,700 loose objects
GRACE = 86400.0  # seconds that a snapshot stays which a command has written back for somebody to look at

_SIGN = re.compile(rb"\nTrack-Run: ([0-9a-f]{20})\nTrack-Cut: \d+\n\Z")
_LINE = re.compile(r"([0-9a-f]{20}|[0-9a-f]{40}|[0-9a-f]{64}) (\d{1,9})")


class _Noted(NamedTuple):
    """A run, or a snapshot, with how many commits it makes due: none when it was left before."""

    name: str
    commits: int


def expect(paths: Paths, runs: Mapping[str, int], changes: Iterable[RefChange]) -> None:
    """These runs, with so many commits, and the snapshots whose refs `changes` delete, are about to lose their refs.
    Raises CannotWrite."""
    gone = (one.old for one in changes if one.new is None and one.old and one.ref.startswith(layout.CODE))
    lines = [_Noted(run_id, count) for run_id, count in runs.items()] + [_Noted(oid, 1) for oid in gone]
    if lines:
        _edit(paths, lambda there: [*there, *lines])


def is_due(paths: Paths) -> bool:
    """Whether there is enough to be removed: asked often, and cheap."""
    try:
        with open(os.path.join(paths.common_dir, "track", NOTE), encoding="ascii", errors="replace") as file:
            return sum(one.commits for one in _read(file)) >= DUE
    except FileNotFoundError:
        return False


def sweep(repo: Repository) -> Discarded | None:
    """Remove what may go; None when somebody else is at the objects just now: then it stays due.

    Raises what `discarding.discard` raises, DamagedRecord and NewerFormat of an archive.
    """
    noted = _edit(repo.paths, lambda there: there)
    commits: dict[str, bytes] = {}
    of: dict[str, str] = {}  # commit -> what it was noted under
    runs = [one.name for one in noted if layout.is_id(one.name)]
    for run_id, made in _commits(repo, dict.fromkeys(runs)):
        commits.update((one.oid, one.data) for one in made)
        of.update((one.oid, run_id) for one in made)
    codes = {one.name for one in noted if objects.is_oid(one.name)}
    for code in codes:
        commit = archives.code_of(repo, code)
        if commit is not None and objects.parse_commit(commit.data).author == snapshot.AUTHOR:
            commits[code], of[code] = commit.data, code
    done = discarding.discard(repo, commits, codes, GRACE)
    if done is not None:
        left = [_Noted(name, 0) for name in dict.fromkeys(of[oid] for oid in done.left)]
        _edit(repo.paths, lambda there: [*left, *there[len(noted) :]])
    return done


def _commits(repo: Repository, ids: Iterable[str]) -> Iterator[tuple[str, list[Object]]]:
    """The commits of those of these runs that records here have. By the trees, each read once."""
    folders: dict[str, set[str]] = {}
    for run_id in ids:
        folders.setdefault(run_id[-2:], set()).add(run_id)
    for tip in (*archives.tips(repo, archives.RECORDS).values(), *repo.refs(layout.KEPT).values()):
        archives.check(repo, tip)
        top = _tree(repo, objects.parse_commit(repo.read(tip)[1]).tree).get("runs")
        for name, folder in _tree(repo, top.oid).items() if top else ():
            if not folders.get(name):
                continue
            entries = _tree(repo, folder.oid)
            for run_id in folders[name] & entries.keys():
                blob = _tree(repo, entries[run_id].oid).get(archive.COMMITS)
                made = _made(repo, run_id, repo.read(blob.oid)[1]) if blob else []
                if made:
                    folders[name].discard(run_id)
                    yield run_id, made


def _tree(repo: Repository, oid: str) -> dict[str, objects.Entry]:
    return objects.parse_tree(repo.read(oid)[1], repo.algorithm)


def _made(repo: Repository, run_id: str, data: bytes) -> list[Object]:
    """The commits, where they are those of that run and of nothing else, whoever wrote the archive."""
    with contextlib.suppress(ValueError, KeyError):
        made = [objects.make("commit", one, repo.algorithm) for one in archive.split(data)]
        before: list[tuple[str, ...]] = [(), *((one.oid,) for one in made)]
        signs = [_SIGN.search(one.data) for one in made]
        is_its = all(sign and sign[1] == run_id.encode() for sign in signs)
        if is_its and all(objects.links(one.data)[1] == up for one, up in zip(made, before[:-1], strict=True)):
            return made
    return []


def _edit(paths: Paths, change: Callable[[Sequence[_Noted]], Sequence[_Noted]]) -> Sequence[_Noted]:
    """One read, change and write in place: who is killed in the middle leaves some to git, which lets them expire."""
    with os.fdopen(trackdir.open_file(paths.common_dir, NOTE), "r+", encoding="ascii", errors="replace") as file:
        with contextlib.suppress(OSError):  # no flock here: what is lost is left to git
            fcntl.flock(file, fcntl.LOCK_EX)
        there = list(_read(file))
        lines = change(there)
        if lines != there:
            file.seek(0)
            file.write("".join(f"{name} {count}\n" for name, count in lines))
            file.truncate()
            file.flush()
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        return lines


def _read(lines: Iterable[str]) -> Iterator[_Noted]:
    for line in lines:
        match = _LINE.fullmatch(line.rstrip("\n"))
        if match:
            yield _Noted(match[1], int(match[2]))
