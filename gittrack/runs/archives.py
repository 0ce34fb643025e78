"""Archives, read: where a run is that has no ref of its own any more. docs/format.md §10.

A run is looked for where it can have gone: its ref, then the records of archives, then their lists. Whoever archives a
run puts it into the archive before its ref goes, so in this order it is never missed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from gittrack import errors
from gittrack.core import archive, layout
from gittrack.core.archive import Line
from gittrack.git import objects
from gittrack.git.objects import Object
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import segments

if TYPE_CHECKING:
    from gittrack.runs.list_index import Segment

LIST, RECORDS, CODE = "list", "records", "code"
INDEX = "index"  # the series of a list
AUTHOR = "gittrack <>"

lines_of_segment = archive.lines


class Place(NamedTuple):
    """Where a run is. `root` is what can be read: the tip where the run has a ref, else the tree of that commit."""

    tip: str
    root: str


def tips(repo: Repository, part: str) -> dict[str, str]:
    """Ref -> tip of this part (LIST, RECORDS, CODE) of every archive here."""
    found = ((ref, tip, layout.archive_of_ref(ref)) for ref, tip in repo.refs(layout.ARCHIVE).items())
    return {ref: tip for ref, tip, name in found if name and name[2] == part}


def lists(repo: Repository) -> dict[str, str]:
    """Ref -> tip of the list of every archive here."""
    return tips(repo, LIST)


def find(repo: Repository, run_id: str) -> Place | None:
    """Where the run is; None when it is not known here.

    Of a run that only a list names, `root` need not be in this clone. Raises DamagedRecord, NewerFormat when the run
    is nowhere and an archive cannot be read.
    """
    ref = layout.run_ref(run_id)
    tip = repo.refs(ref).get(ref)
    if tip is not None:
        return Place(tip, tip)
    data = _commits(repo, run_id, _records(repo))
    if data:
        last = objects.make("commit", data[-1], repo.algorithm)
        return Place(last.oid, objects.parse_commit(last.data).tree)
    line = next((line for _, line in listed(repo, [run_id])), None)
    return Place(line.tip, line.tree) if line else None


def commits(repo: Repository, run_id: str) -> list[Object]:
    """The commits of an archived run, the first one first; none when no records here have it."""
    return all_commits(repo, [run_id]).get(run_id, [])


def all_commits(repo: Repository, ids: Iterable[str]) -> dict[str, list[Object]]:
    """The same of many. Raises DamagedRecord, NewerFormat when one is nowhere and an archive cannot be read."""
    places = _records(repo)
    found = {run_id: _commits(repo, run_id, places) for run_id in ids}
    return {
        run_id: [objects.make("commit", one, repo.algorithm) for one in data] for run_id, data in found.items() if data
    }


def commits_at(repo: Repository, tip: str, run_id: str) -> list[Object]:
    """The same, out of this commit of `records`, or of what is kept in its form."""
    return [objects.make("commit", data, repo.algorithm) for data in _commits_in(repo, tip, run_id)]


def lines(repo: Repository, commit: str) -> Iterator[Line]:
    """The runs in this commit of a list, in order. Raises DamagedRecord, NewerFormat."""
    for data in list_segments(repo, commit):
        yield from lines_of_segment(data)


def archived(repo: Repository, at: Mapping[str, str] | None = None) -> dict[str, str]:
    """Id -> tip of every run in a list: in those of this clone (None), or in these (anything -> commit of a list)."""
    found: dict[str, str] = {}
    for commit in (lists(repo) if at is None else at).values():
        for data in list_segments(repo, commit):
            found.update((run_id, tip) for run_id, tip, purged in archive.tips(data) if not purged)
    return found


def listed(repo: Repository, ids: Iterable[str]) -> Iterator[tuple[str, Line]]:
    """Where these runs stand in the lists here: ref of the list, line. Quick where the index has read the lists.

    Raises DamagedRecord, NewerFormat.
    """
    wanted = frozenset(ids)
    there = segments_of_lists(repo) if wanted else []
    may = lazy("gittrack.runs.list_index").with_runs(repo.paths, there, wanted) if there else {}
    for segment, which in may.items():
        data = _segment(repo, segment.oid)
        if which is None:
            which = {run_id for run_id, _, _ in archive.tips(data)} & wanted if len(wanted) > 1 else wanted
        for run_id in which:
            if (line := archive.line_of(data, run_id)) is not None:
                yield segment.ref, line


def lists_with_code(repo: Repository, oid: str) -> list[str]:
    """The lists here that have a run of this snapshot. Raises DamagedRecord, NewerFormat."""
    there, named = segments_of_lists(repo), b'{"code":"%s"' % oid.encode()
    found = lazy("gittrack.runs.list_index").with_code(repo.paths, there, oid) if there else {}
    refs = (segment.ref for segment, known in found.items() if known or named in _segment(repo, segment.oid))
    return list(dict.fromkeys(refs))


def segments_of_lists(repo: Repository) -> "list[Segment]":
    """The segments of all lists here, in order. Raises DamagedRecord, NewerFormat."""
    made = lazy("gittrack.runs.list_index").Segment
    found: list[Segment] = []
    for ref, tip in lists(repo).items():
        check(repo, tip)
        found += [made(ref, number, oid) for number, oid in segments.oids(repo, tip, INDEX).items()]
    return found


def _segment(repo: Repository, oid: str) -> bytes:
    try:
        return repo.read(oid)[1]
    except KeyError as error:
        raise errors.DamagedRecord(f"an archive lacks {oid}", "run `git track doctor`") from error


def list_segments(repo: Repository, commit: str) -> Iterator[bytes]:
    """The segments of a list. Raises DamagedRecord, NewerFormat."""
    check(repo, commit)
    yield from segments.read(repo, commit, INDEX)


def restore_code(repo: Repository, oid: str) -> bool:
    """Write a snapshot back that only an archive has, as a loose object. True when it is in the repository then.

    Not when its parent is missing: the repository would be broken by it.
    """
    if repo.exists(oid):
        return True
    commit = code_of(repo, oid)
    if commit is None or not _is_whole(repo, commit):
        return False
    repo.write([commit], durable=True)
    return True


def code_of(repo: Repository, oid: str) -> Object | None:
    """The snapshot commit `oid`, as an archive here has it."""
    for tip in tips(repo, CODE).values():
        data = repo.read_path(tip, f"{layout.archived_code(oid)}/commit")
        commit = objects.make("commit", data, repo.algorithm) if data else None
        if commit and commit.oid == oid:
            return commit
    return None


def _is_whole(repo: Repository, commit: Object) -> bool:
    read = objects.parse_commit(commit.data)
    return all(repo.exists(oid) for oid in (read.tree, *read.parents))


def _records(repo: Repository) -> list[str]:
    return [*tips(repo, RECORDS).values(), *repo.refs(layout.KEPT).values()]


def _commits(repo: Repository, run_id: str, places: Iterable[str]) -> list[bytes]:
    problem: errors.GittrackError | None = None
    for tip in places:
        try:
            check(repo, tip)
            if found := _commits_in(repo, tip, run_id):
                return found
        except (errors.DamagedRecord, errors.NewerFormat) as error:  # one archive must not hide the others
            problem = error
    if problem is not None:
        raise problem
    return []


def _commits_in(repo: Repository, tip: str, run_id: str) -> list[bytes]:
    data = repo.read_path(tip, f"{layout.archived_run(run_id)}/{archive.COMMITS}")
    try:
        return archive.split(data or b"")
    except ValueError as error:
        raise errors.DamagedRecord(
            f"run {run_id} in archive {tip} cannot be read: {error}", "run `git track doctor`"
        ) from error


def check(repo: Repository, commit: str) -> None:
    """Raises DamagedRecord, NewerFormat."""
    layout.check_format(repo.read_path(commit, "format"), f"archive {commit}", layout.ARCHIVE_FORMAT)
