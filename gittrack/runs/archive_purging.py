"""Archives without what was purged: the one way in which a ref of an archive moves to what does not go on from it.

The new commits depend on nothing but the old trees and what was purged, so whoever writes an archive anew, its owner or
anybody who finds it at a remote, gets the same.
"""

from collections.abc import Iterable, Mapping

from gittrack.core import archive, codec, layout
from gittrack.core.annotations import Tombstones
from gittrack.git import objects
from gittrack.git.repository import Repository
from gittrack.git.trees import TreeEditor
from gittrack.runs import archive_trees, archives, segments
from gittrack.runs.archive_trees import Part


def rewritten(repo: Repository, tips: Mapping[str, str], graves: Tombstones) -> dict[str, Part]:
    """Of these parts of one archive (part -> commit) those that hold something purged, as they are to be."""
    makers = {archives.RECORDS: _records, archives.LIST: _list, archives.CODE: _code}
    found = {part: makers[part](repo, tip, graves) for part, tip in tips.items()}
    return {part: one for part, one in found.items() if one is not None}


def holds(repo: Repository, tip: str, graves: Tombstones) -> bool:
    """Whether this commit is of an archive that has something purged, whichever part it is."""
    commit = objects.parse_commit(repo.read(tip)[1])
    if commit.author != archives.AUTHOR or commit.committed != 0:
        return False
    top = _tree(repo, commit.tree)
    if archives.INDEX in top:
        return any(_purged_lines(data, graves) for data in segments.read(repo, tip, archives.INDEX))
    return bool(_there(repo, tip, _places(graves)))


def is_shortened(repo: Repository, old: str, new: str, graves: Tombstones) -> bool:
    """Whether `new`, which does not go on from `old`, lacks nothing of it but what was purged: for any part."""
    before, after = (objects.parse_commit(repo.read(tip)[1]).tree for tip in (old, new))
    if archives.INDEX in _tree(repo, before):
        return _lines(repo, new).items() >= {k: v for k, v in _lines(repo, old).items() if k not in graves.runs}.items()
    made: list[objects.Object] = []
    kept = _without(repo, before, _places(graves), made)
    return kept is None or _covers(repo, kept, after, {one.oid: one.data for one in made})


def _records(repo: Repository, tip: str, graves: Tombstones) -> Part | None:
    gone = _there(repo, tip, [layout.archived_run(run_id) for run_id in graves.runs])
    return _written(repo, tip, gone, archive_trees.count(repo, tip) - len(gone)) if gone else None


def _code(repo: Repository, tip: str, graves: Tombstones) -> Part | None:
    gone = _there(repo, tip, [layout.archived_code(oid) for oid in graves.oids])
    users = sorted(archive_trees.held(repo, tip) - graves.oids) if gone else []
    return _written(repo, tip, gone, archive_trees.count_of(repo, tip) or 0, users) if gone else None


def _list(repo: Repository, tip: str, graves: Tombstones) -> Part | None:
    made: list[objects.Object] = []
    changed: dict[str, str] = {}
    count = 0
    for number, oid in segments.oids(repo, tip, archives.INDEX).items():
        data = repo.read(oid)[1]
        if purged := _purged_lines(data, graves):
            lines = [purged.get(at, line) for at, line in enumerate(data.splitlines(keepends=True))]
            made.append(objects.blob(b"".join(lines), repo.algorithm))
            changed[layout.segment_path(archives.INDEX, number, archive_trees.SUFFIX)] = made[-1].oid
            count += len(purged)
    if not changed:
        return None
    tree = _replaced(repo, objects.parse_commit(repo.read(tip)[1]).tree, changed, made)
    return _committed(repo, tree, made, (archive_trees.count_of(repo, tip) or 0) - count)


def _purged_lines(data: bytes, graves: Tombstones) -> dict[int, bytes]:
    """Number of each line that still says something of a purged run -> what it is to be."""
    found: dict[int, bytes] = {}
    if not any(run_id.encode() in data for run_id in graves.runs):
        return found
    for number, line in enumerate(data.splitlines(keepends=True)):
        for run_id, tip, purged in archive.tips(line):
            if run_id in graves.runs and not purged:
                found[number] = codec.dumps({"id": run_id, "purged": True, "tip": tip})
    return found


def _lines(repo: Repository, tip: str) -> dict[str, str]:
    return {
        run_id: oid
        for data in segments.read(repo, tip, archives.INDEX)
        for run_id, oid, purged in archive.tips(data)
        if not purged
    }


def _places(graves: Tombstones) -> list[str]:
    return [*map(layout.archived_run, graves.runs), *map(layout.archived_code, graves.oids)]


def _there(repo: Repository, tip: str, paths: Iterable[str]) -> set[str]:
    """Those of these directories that the commit has."""
    found = set()
    for path in paths:
        here: str | None = objects.parse_commit(repo.read(tip)[1]).tree
        for name in path.split("/"):
            entry = _tree(repo, here).get(name) if here else None
            here = entry.oid if entry and entry.mode == objects.DIRECTORY else None
        if here:
            found.add(path)
    return found


def _written(repo: Repository, tip: str, gone: Iterable[str], count: int, users: Iterable[str] = ()) -> Part:
    made: list[objects.Object] = []
    tree = _without(repo, objects.parse_commit(repo.read(tip)[1]).tree, gone, made)
    return _committed(repo, tree or "", made, count, list(users))


def _committed(repo: Repository, tree: str, made: list[objects.Object], count: int, users: Iterable[str] = ()) -> Part:
    """The commit, without a history; several where there are many commits of users to be held."""
    waiting, tip = list(users), ""
    while not tip or waiting:
        room = archive_trees.PARENTS - bool(tip)
        parents = [*([tip] if tip else []), *waiting[:room]]
        made.append(objects.commit(tree, parents, archives.AUTHOR, 0, archive_trees.message(count), repo.algorithm))
        tip, waiting = made[-1].oid, waiting[room:]
    return Part(tip, made)


def _without(repo: Repository, oid: str, paths: Iterable[str], made: list[objects.Object]) -> str | None:
    """The tree without these entries, and without directories that have nothing else; None for nothing left."""
    below: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition("/")
        below.setdefault(name, []).append(rest)
    entries = _tree(repo, oid)
    for name, rests in below.items():
        entry = entries.get(name)
        if entry is None:
            continue
        if "" in rests:
            del entries[name]
            continue
        inner = _without(repo, entry.oid, rests, made) if entry.mode == objects.DIRECTORY else entry.oid
        if inner is None:
            del entries[name]
        else:
            entries[name] = objects.Entry(entry.mode, inner)
    if not entries:
        return None
    made.append(objects.tree(entries, repo.algorithm))
    return made[-1].oid


def _replaced(repo: Repository, oid: str, files: Mapping[str, str], made: list[objects.Object]) -> str:
    editor = TreeEditor(repo.algorithm, lambda one: repo.read(one)[1], oid)
    for path, blob in files.items():
        editor.put(path, blob)
    return editor.write(lambda new, _before: made.append(new))


def _covers(repo: Repository, old: str, new: str, unwritten: Mapping[str, bytes]) -> bool:
    """Whether every entry of the tree `old` is in `new`, below directories as well."""
    if old == new:
        return True
    data = unwritten.get(old)
    here = _tree(repo, old) if data is None else objects.parse_tree(data, repo.algorithm)
    there = _tree(repo, new)
    for name, entry in here.items():
        other = there.get(name)
        if other is None or other.mode != entry.mode:
            return False
        is_same = other.oid == entry.oid
        if not is_same and (entry.mode != objects.DIRECTORY or not _covers(repo, entry.oid, other.oid, unwritten)):
            return False
    return True


def _tree(repo: Repository, oid: str) -> dict[str, objects.Entry]:
    return objects.parse_tree(repo.read(oid)[1], repo.algorithm)
