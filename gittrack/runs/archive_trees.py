"""The three trees of an archive, continued: what is new in them, and the commits that hold it. Moves no ref."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from gittrack.core import archive, layout
from gittrack.core.segments import CLOSE_AT, OPEN_LIMIT
from gittrack.git import objects
from gittrack.git.objects import Object
from gittrack.git.repository import Repository
from gittrack.git.trees import TreeEditor
from gittrack.runs import archives, segments

SUFFIX = ".jsonl"
PARENTS = 16  # of one commit: git takes 19 s for one with 5,000
_MESSAGE = "Archive of {} runs"
_SEARCHED = 10_000  # commits among which it is looked for one that another one holds already


class Part(NamedTuple):
    """One of the three refs of an archive, with what it is to hold from now on."""

    tip: str | None  # None: there is nothing to hold yet
    made: list[Object]  # to be written before the ref moves


def records(repo: Repository, tip: str | None, runs: Mapping[str, Sequence[Object]], count: int) -> Part:
    """`records` with these runs (their commits, the first one first), `count` runs then."""
    made: list[Object] = []
    editor = _editor(repo, tip)
    for run_id, commits in runs.items():
        commits_blob = objects.blob(archive.join(one.data for one in commits), repo.algorithm)
        trees = _numbered([objects.links(one.data)[0] for one in commits], repo.algorithm)
        outer = {f"{number:03d}": objects.Entry(objects.DIRECTORY, tree.oid) for number, tree in enumerate(trees)}
        outer[archive.COMMITS] = objects.Entry(objects.FILE, commits_blob.oid)
        whole = objects.tree(outer, repo.algorithm)
        made += [commits_blob, *trees, whole]
        editor.put(layout.archived_run(run_id), whole.oid, objects.DIRECTORY)
    return _committed(repo, tip, editor, made, count)


def list_(repo: Repository, tip: str | None, lines: Iterable[bytes], count: int) -> Part:
    """`list` with these lines at its end."""
    made: list[Object] = []
    editor = _editor(repo, tip)
    number, data = 0, b"".join(lines)
    there = segments.oids(repo, tip, archives.INDEX) if tip else {}
    if there and data:
        number, oid = list(there.items())[-1]
        last = repo.read(oid)[1]
        number, data = (number, last + data) if len(last) < OPEN_LIMIT else (number + 1, data)
    while data:
        end = data.find(b"\n", CLOSE_AT - 1) + 1 if len(data) >= CLOSE_AT else 0
        made.append(objects.blob(data[: end or len(data)], repo.algorithm))
        editor.put(layout.segment_path(archives.INDEX, number, SUFFIX), made[-1].oid)
        number, data = number + 1, data[end:] if end else b""
    return _committed(repo, tip, editor, made, count)


def code(repo: Repository, tip: str | None, ours: Iterable[Object], users: Iterable[str], count: int) -> Part:
    """`code` with these snapshot commits that gittrack made, and these commits that users made as parents."""
    made: list[Object] = []
    editor = _editor(repo, tip)
    for commit in ours:
        place = layout.archived_code(commit.oid)
        made.append(objects.blob(commit.data, repo.algorithm))
        editor.put(f"{place}/commit", made[-1].oid)
        editor.put(f"{place}/tree", objects.parse_commit(commit.data).tree, objects.DIRECTORY)
    known = held(repo, tip) if tip else set()
    waiting = [oid for oid in dict.fromkeys(users) if oid not in known]
    return _committed(repo, tip, editor, made, count, latest(repo, waiting))


def held(repo: Repository, tip: str) -> set[str]:
    """The commits of users that the history of `code` holds as parents."""
    found: set[str] = set()
    here: str | None = tip
    while here is not None:
        parents = objects.parse_commit(repo.read(here)[1]).parents
        here = parents[0] if parents and is_ours(repo, parents[0]) else None
        found.update(parents[1:] if here else parents)
    return found


def is_ours(repo: Repository, oid: str) -> bool:
    """Whether this is a commit of an archive. A user's may be missing, in a shallow clone."""
    try:
        commit = objects.parse_commit(repo.read(oid)[1])
    except KeyError:
        return False
    return commit.author == archives.AUTHOR and commit.committed == 0


def latest(repo: Repository, commits: Sequence[str]) -> list[str]:
    """`commits` without those that another one of them is seen to hold in its history."""
    if len(commits) < 2:
        return list(commits)
    said = "".join(f"{oid}\n" for oid in commits).encode()
    args = ("rev-list", "--parents", f"--max-count={_SEARCHED}", "--stdin")
    result = repo.git.call(*args, input=said)
    parents = {line.split()[0]: line.split()[1:] for line in result.out.decode().splitlines()}
    below: set[str] = set()
    queue = [parent for oid in commits for parent in parents.get(oid, ())]
    while queue:
        oid = queue.pop()
        if oid not in below:
            below.add(oid)
            queue += parents.get(oid, ())
    return [oid for oid in commits if oid not in below]


def standing(repo: Repository, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Which of these runs the records of archives here have, and in what state: id -> tip -> ref. An archive whose
    records are not here, or not all of them, is passed over: a run may stand in several."""
    found: dict[str, dict[str, str]] = {}
    for ref, commit in archives.tips(repo, archives.RECORDS).items():
        try:
            folder = {name: {*tree} for name, tree in _folders(repo, commit, {run_id[-2:] for run_id in ids})}
        except (KeyError, ValueError):
            continue
        for run_id in ids:
            if run_id in folder.get(run_id[-2:], ()):
                commits = archives.commits_at(repo, commit, run_id)
                found.setdefault(run_id, {})[commits[-1].oid if commits else ""] = ref
    return found


def run_ids(repo: Repository, tip: str) -> list[str]:
    """The runs in this commit of `records`."""
    return [run_id for _, tree in _folders(repo, tip) for run_id in tree if layout.is_id(run_id)]


def count(repo: Repository, tip: str | None) -> int:
    """How many runs this commit of `records` has."""
    said = count_of(repo, tip)
    return said if said is not None else len(run_ids(repo, tip or ""))


def count_of(repo: Repository, tip: str | None) -> int | None:
    """How many runs this commit says that the archive has; None when it does not say it."""
    if tip is None:
        return 0
    words = objects.parse_commit(repo.read(tip)[1]).message.split()
    return int(words[2]) if words[:2] == ["Archive", "of"] and len(words) > 2 and words[2].isdigit() else None


def message(count: int) -> str:
    """What a commit of an archive with so many runs says."""
    return _MESSAGE.format(count) if count != 1 else "Archive of 1 run"


def _numbered(trees: Sequence[str], algorithm: str) -> list[Object]:
    """The directories of a run's trees, 32 in each."""
    size = layout.PER_DIRECTORY
    parts = (trees[at : at + size] for at in range(0, len(trees), size))
    return [
        objects.tree({f"{at:02d}": objects.Entry(objects.DIRECTORY, oid) for at, oid in enumerate(part)}, algorithm)
        for part in parts
    ]


def _folders(repo: Repository, tip: str, names: Collection[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Of each directory <xx> of `records` (of these, or of all) the names in it."""
    top = _tree(repo, objects.parse_commit(repo.read(tip)[1]).tree)
    for name, entry in (_tree(repo, top["runs"].oid) if "runs" in top else {}).items():
        if names is None or name in names:
            yield name, list(_tree(repo, entry.oid))


def _tree(repo: Repository, oid: str) -> dict[str, objects.Entry]:
    return objects.parse_tree(repo.read(oid)[1], repo.algorithm)


def _editor(repo: Repository, tip: str | None) -> TreeEditor:
    tree = objects.parse_commit(repo.read(tip)[1]).tree if tip else None
    return TreeEditor(repo.algorithm, lambda oid: repo.read(oid)[1], tree)


def _committed(
    repo: Repository, tip: str | None, editor: TreeEditor, made: list[Object], count: int, users: Sequence[str] = ()
) -> Part:
    """The commits that hold what the editor has now: several where there are many parents, none for nothing new."""
    if tip is None:
        made.append(objects.blob(layout.format_line(layout.ARCHIVE_FORMAT), repo.algorithm))
        editor.put("format", made[-1].oid)
    elif not made and not users:
        return Part(tip, [])
    tree = editor.write(lambda new, _before: made.append(new))
    waiting, first = list(users), True
    while first or waiting:
        room = PARENTS - (tip is not None)
        parents = [*([tip] if tip else []), *waiting[:room]]
        commit = objects.commit(tree, parents, archives.AUTHOR, 0, message(count), repo.algorithm)
        made.append(commit)
        tip, waiting, first = commit.oid, waiting[room:], False
    return Part(tip, made)
