"""Commits that are data somewhere else, and that nothing reaches any more, removed from this clone.

git would keep them for two weeks, each in a file of its own once it has taken them out of its packs, and start a gc
again and again because of so many files. `erasing` takes what is secret out of everything; here nobody waits and
nothing has to be gone: what is in use, or in packs of the user's where it would not pay, is left for another time.

Killed at any moment, what is left is whole: no commit goes before those that come after it. Where the two are in
different packs, or one of them in a file of its own, one more pack holds the earlier ones until all is done. Somebody
may make a ref of such a commit at any moment: so it is looked again afterwards, and what is needed is written back.
"""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gittrack.git import catfile, loose, maintenance, notes, objects, ownpacks, pack, repacking
from gittrack.git.command import Git, failure
from gittrack.git.discover import repository_format
from gittrack.git.objects import Object
from gittrack.git.repository import Repository

NOTE = "discarding"  # in <common dir>/track: the oids that are to go, one a line
WORTH = 256  # commits in a pack of the user's from which on it is written again without them,
SHARE = 1000  # if they are one in so many of its objects

_HELD = (
    "*_HEAD",
    "HEAD",
    "rebase-*/*",
    "logs/HEAD",
    "refs/**/*",
)  # in the directory of a work tree: what may name a commit
_KEPT = (".keep", ".mtimes", ".bitmap")  # somebody wants it; git lets it expire as it is; a server's
_OID = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
_WHOLE = re.compile(rb"[0-9a-f]{40,64}")


class Discarded(NamedTuple):
    """`gone`: how many commits were removed; `left`: those to be asked for again, when there are others, too."""

    gone: int
    left: frozenset[str]


def discard(repo: Repository, commits: Mapping[str, bytes], young: Collection[str], age: float) -> Discarded | None:
    """Remove those of these commits (oid -> data) that nothing reaches; None when it cannot be done just now. Those of
    `young` stay as long as they are in files of their own that are not `age` seconds old.

    Raises CannotWrite; GitFailed, Unsupported when it cannot be known what is needed, and then nothing was removed.
    """
    common = repo.paths.common_dir
    if "preciousobjects" in repository_format(repo.paths).extensions:
        return Discarded(0, frozenset())
    with maintenance.alone(common) as file:
        if file is None or maintenance.gc_is_running(common):
            return None
        begun = time.time_ns()
        reached = _still_reached(repo, commits)
        ownpacks.remove_superseded(common)
        here, others = _listed(repo.git, commits, reached)
        places = _Places.find(repo, frozenset(here), begun, young, age)
        going = _chosen(repo, commits, places.every(), [*others, *_named(common)], places.stays)
        if going:
            notes.write(common, NOTE, going)
            _remove(repo, commits, going, places, begun)
            _still_reached(repo, commits)
        notes.remove(common, NOTE)
        return Discarded(len(going), frozenset(places.later))


class _Places(NamedTuple):
    """Where the commits are."""

    loose: set[str]
    packs: dict[str, set[str]]  # path without suffix of those that are written again -> what goes out of it
    stays: set[str]  # what is somewhere where it is left
    later: set[str]  # of that what may go another time

    def every(self) -> set[str]:
        """All that is here, and not in another repository, whose objects this one uses."""
        return self.loose.union(*self.packs.values())

    @classmethod
    def find(cls, repo: Repository, here: Collection[str], begun: int, young: Collection[str], age: float) -> "_Places":
        store = os.path.join(repo.paths.common_dir, "objects")
        own = {one.path for one in ownpacks.of(repo.paths.common_dir)}
        found = cls(set(), {}, set(), set())
        for oid, status in maintenance.all_loose(repo.paths.common_dir):
            if oid in here:
                found.loose.add(oid)
                changed = status.st_mtime_ns
                if changed >= begun or (oid in young and changed > begun - age * 1e9):
                    found.later.add(oid)
        for path, those in repacking.packs(store, here, repo.algorithm):
            if any(os.path.exists(path + suffix) for suffix in _KEPT):
                found.stays.update(those)
            elif _is_free(path, begun) and (path in own or len(those) >= max(WORTH, ownpacks.count(path) // SHARE)):
                found.packs[path] = those
            else:
                found.later.update(those)
        found.stays.update(found.later)
        return found


def _is_free(path: str, begun: int) -> bool:
    """Whether there is room for another pack like this one, and nobody has just found in it what he will name."""
    status = os.stat(path + ".pack")
    return status.st_mtime_ns < begun and shutil.disk_usage(os.path.dirname(path)).free > 2 * status.st_size


def _chosen(
    repo: Repository, commits: Mapping[str, bytes], here: Collection[str], others: Iterable[str], stays: Collection[str]
) -> list[str]:
    """What goes: not what something else holds that stays, which is not reached either. The later commits first."""
    held = [*stays, *others]
    for found in catfile.many(repo.git, [oid for oid in held if oid not in commits]):
        held += _links(found.kind, found.data) if found else ()
    held_too = _before(held, commits)
    return _later_first({oid for oid in here if oid not in held_too}, commits)


def _later_first(going: Collection[str], commits: Mapping[str, bytes]) -> list[str]:
    order: dict[str, None] = {}
    children = {parent for oid in going for parent in _links("commit", commits[oid])}
    waiting = [oid for oid in going if oid not in children]
    while waiting:
        oid = waiting.pop()
        order.pop(oid, None)  # of two children the last one counts
        order[oid] = None
        waiting += [parent for parent in _links("commit", commits[oid]) if parent in going]
    return list(order)


def _links(kind: str, data: bytes) -> tuple[str, ...]:
    if kind == "tag":
        return (data[7:].partition(b"\n")[0].decode("ascii", "replace"),)
    return objects.links(data)[1] if kind == "commit" else ()


def _remove(repo: Repository, commits: Mapping[str, bytes], going: Sequence[str], places: _Places, begun: int) -> None:
    """Take them out of all places. What somebody has come to use meanwhile stays, with all before it."""
    store = os.path.join(repo.paths.common_dir, "objects")
    bridge = _bridged(repo, commits, going, places)
    stays: set[str] = set()
    try:
        for oid in going:
            if oid in stays or (oid in places.loose and not _unlinked(loose.path_of(store, oid), begun)):
                stays.update((oid, *_links("commit", commits[oid])))
        gone = set(going) - stays
        free = {path: some for path, those in places.packs.items() if (some := those & gone) and _is_free(path, begun)}
        for path, those in places.packs.items():
            stays |= set() if path in free else those
        if free:
            repacking.rewritten(repo.git, free, repo.algorithm)
        repacking.forget_graph(repo.git, store, gone)
    except OSError as error:
        raise loose.cannot_write(error, store) from error
    if stays:  # and so does the bridge, which has what comes before them
        places.later.update(stays)
    elif bridge:
        repacking.remove(repo.git, [os.path.join(store, "pack", bridge)])


def _unlinked(path: str, begun: int) -> bool:
    try:
        if os.stat(path).st_mtime_ns >= begun:
            return False
        os.unlink(path)
    except FileNotFoundError:
        pass
    return True


def _bridged(repo: Repository, commits: Mapping[str, bytes], going: Sequence[str], places: _Places) -> str | None:
    """A pack with what must be there until something that comes after it, somewhere else, is gone."""
    where: dict[str, set[str]] = {oid: {""} if oid in places.loose else set() for oid in going}
    for path, those in places.packs.items():
        for oid in those:
            if oid in where:
                where[oid].add(path)
    needed: dict[str, None] = {}
    for oid in going:  # the later ones first
        for parent in _links("commit", commits[oid]):
            if parent in where and (oid in needed or where[oid] != where[parent] or len(where[oid]) > 1):
                needed[parent] = None
    if not needed:
        return None
    return _installed(repo, commits, needed)


def _installed(repo: Repository, commits: Mapping[str, bytes], oids: Iterable[str]) -> str:
    """Another pack with these, whatever else has them, or had them until now."""
    name = pack.install(repo.git, [Object(oid, "commit", commits[oid]) for oid in oids], repo.algorithm)
    ownpacks.add(repo.paths.common_dir, [name])
    return name


def _still_reached(repo: Repository, commits: Mapping[str, bytes]) -> set[bytes]:
    """What refs, HEADs and reflogs of all work trees reach. What they lack because of a call that was killed, or of
    this one, is written back before. Raises GitFailed when it is something else."""
    noted = {oid for oid in notes.read(repo.paths.common_dir, NOTE) if oid in commits}
    reached, said = _reached(repo.git)
    if noted:
        lost = noted
        if reached is not None:  # git passes over a ref of something missing
            named = {*repo.refs().values(), *_named(repo.paths.common_dir)}
            lost = {oid for oid in named & noted if bytes.fromhex(oid) not in reached and not repo.exists(oid)}
        if lost:
            _installed(repo, commits, _before(lost, commits))
            reached, said = _reached(repo.git)
    if reached is None:
        raise failure(("rev-list",), 128, said, repo.git.paths)
    return reached


def _before(oids: Iterable[str], commits: Mapping[str, bytes]) -> set[str]:
    """These, and what comes before them."""
    waiting, found = list(oids), set[str]()
    while waiting:
        oid = waiting.pop()
        if oid in commits and oid not in found:
            found.add(oid)
            waiting += _links("commit", commits[oid])
    return found


def _reached(git: Git) -> tuple[set[bytes] | None, bytes]:
    with git.popen("rev-list", "--all", "--reflog", stderr=subprocess.STDOUT) as process:
        assert process.stdout
        lines = process.stdout.read().split(b"\n")
    oids = [line for line in lines if _WHOLE.fullmatch(line)]
    said = b"\n".join(line for line in lines if not _WHOLE.fullmatch(line))
    return ({bytes.fromhex(oid.decode()) for oid in oids} if process.returncode == 0 else None), said


def _listed(git: Git, commits: Mapping[str, bytes], reached: Collection[bytes]) -> tuple[list[str], list[str]]:
    """Those of the commits that are here and not reached; and all others that are not, tags among them."""
    here: list[str] = []
    others: list[str] = []
    form = "--batch-check=%(objecttype) %(objectname)"
    with git.popen("cat-file", "--batch-all-objects", "--unordered", "--buffer", form) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            if line.startswith((b"commit ", b"tag ")):
                oid = line[line.index(b" ") + 1 : -1].decode("ascii")
                if bytes.fromhex(oid) not in reached:
                    (here if oid in commits else others).append(oid)
        said = process.stderr.read()
    if process.returncode != 0:
        raise failure(("cat-file",), process.returncode, said, git.paths)
    return here, others


def _named(common: str) -> Iterator[str]:
    """What merges, rebases, bisections and the like of any work tree name."""
    for folder in (common, *glob.glob(os.path.join(glob.escape(common), "worktrees", "*"))):
        for pattern in _HELD[: 4 if folder == common else 5]:
            for path in glob.glob(os.path.join(glob.escape(folder), pattern), recursive=True):
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    yield from (oid.decode() for oid in _OID.findall(file.read()))
