"""Which snapshots have which tree, for the hook that asks at every commit whether this is what a run was made of.

A run names its snapshot, a commit; a new commit has the same tree and another oid. So trees are gathered in a table
beside the index, and brought up to date from the names of refs alone: a snapshot never changes its tree. It is a cache;
where it cannot be written the answer is worked out each time. What is no longer there stays in the table: whoever asks
goes on to look for runs, which are then not found.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence

from gittrack.core import layout
from gittrack.git import catfile, objects, stamp
from gittrack.git.command import Git

NAME = "trees.sqlite"
_VERSION = 1
_TABLES = f"""
CREATE TABLE snapshots (oid PRIMARY KEY, tree) WITHOUT ROWID;
CREATE INDEX tree ON snapshots (tree);
CREATE TABLE seen (key PRIMARY KEY, value) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""


def of_tree(git: Git, tree: str) -> list[str]:
    """The snapshots of runs whose tree is `tree`, those of archived runs included. Raises GitFailed."""
    folder = os.path.join(git.paths.common_dir, "track", "cache")
    path = os.path.join(folder, NAME)
    try:
        os.makedirs(folder, exist_ok=True)
        return _asked(git, path, tree)
    except (sqlite3.Error, OSError):
        return _asked(git, ":memory:", tree)


def _asked(git: Git, path: str, tree: str) -> list[str]:
    db = sqlite3.connect(path, timeout=0.5, isolation_level=None)
    try:
        try:
            _refresh(git, db)
        except sqlite3.DatabaseError as error:
            if path == ":memory:" or isinstance(error, sqlite3.OperationalError):
                raise
            os.unlink(path)  # garbage: the next commit makes it anew
            raise
        return [row[0] for row in db.execute("SELECT oid FROM snapshots WHERE tree = ?", (tree,))]
    finally:
        db.close()


def _refresh(git: Git, db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    seen = dict(db.execute("SELECT key, value FROM seen")) if version == _VERSION else {}
    if "stamp" in seen and stamp.is_unchanged(git.paths, seen["stamp"]):
        return
    now = stamp.take(git.paths, time.time())
    refs = _refs(git)
    known = {row[0] for row in db.execute("SELECT oid FROM snapshots")} if version == _VERSION else set()
    places = [(oid, f"{oid}^{{tree}}") for oid in refs.values() if oid not in known]
    fresh = {ref: oid for ref, oid in refs.items() if layout.archive_of_ref(ref) and seen.get(ref) != oid}
    for oid in fresh.values():
        places += [(one, place) for one, place in _archived(git, oid) if one not in known]
    rows = _trees(git, places)
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        for statement in _TABLES.split(";"):
            db.execute(statement)
    db.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", rows)
    said = [*fresh.items(), *([("stamp", now.text)] if now.settled else [])]
    db.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", said)
    db.execute("COMMIT")


def _refs(git: Git) -> dict[str, str]:
    """The refs that hold snapshots."""
    patterns = (layout.CODE, layout.ARCHIVE)
    rows = (line.split(" ", 1) for line in git.lines("for-each-ref", "--format=%(objectname) %(refname)", *patterns))
    found = {ref: oid for oid, ref in rows}
    return {ref: oid for ref, oid in found.items() if ref.startswith(layout.CODE) or ref.endswith("/code")}


def _archived(git: Git, oid: str) -> Iterator[tuple[str, str]]:
    """The snapshots of an archive, each with the place of its tree."""
    algorithm = "sha256" if len(oid) == 64 else "sha1"
    top = [found for found in catfile.many(git, [f"{oid}:snapshots"]) if found]
    folders = [entry.oid for found in top for entry in objects.parse_tree(found.data, algorithm).values()]
    for found in catfile.many(git, folders):
        for name, entry in (objects.parse_tree(found.data, algorithm) if found else {}).items():
            yield name, f"{entry.oid}:tree"


def _trees(git: Git, places: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(snapshot, its tree), of those that are there."""
    if not places:
        return []
    asked = "\n".join(place for _, place in places).encode() + b"\n"
    found = git.lines("cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer", input=asked)
    rows = zip(places, (line.split(" ") for line in found), strict=True)
    return [(oid, words[0]) for (oid, _), words in rows if words[1:] == ["tree"]]
