"""Series in a record or log, read back: which blobs hold them, in order. docs/format.md §3."""

from collections.abc import Iterator

from gittrack import errors
from gittrack.git import objects
from gittrack.git.repository import Repository


def oids(repo: Repository, tip: str, root: str) -> dict[int, str]:
    """Number -> blob of every segment of the series `root` in the tree of commit `tip`, in order."""
    try:
        top = objects.parse_commit(repo.read(tip)[1]).tree
        series = _tree(repo, top).get(root)
        if series is None:
            return {}
        found: dict[int, str] = {}
        for outer, directory in _tree(repo, series.oid).items():
            for inner, entry in _tree(repo, directory.oid).items():
                found[int(outer) * 100 + int(inner.partition(".")[0])] = entry.oid
    except (KeyError, ValueError) as error:
        raise errors.DamagedRecord(
            f"{root} of commit {tip} cannot be read: {error}", "run `git track doctor`"
        ) from error
    return dict(sorted(found.items()))


def read(repo: Repository, tip: str, root: str) -> Iterator[bytes]:
    """The bytes of the series, segment by segment, so that one of gigabytes is never in memory at once."""
    blobs = list(oids(repo, tip, root).values())
    for oid, data in zip(blobs, repo.read_many(blobs), strict=True):
        if data is None:
            raise errors.DamagedRecord(f"a segment of {root} is missing: {oid}", "run `git track doctor`")
        yield data


def _tree(repo: Repository, oid: str) -> dict[str, objects.Entry]:
    return objects.parse_tree(repo.read(oid)[1], repo.algorithm)
