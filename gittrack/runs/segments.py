"""Series in a record or log, read back: which blobs hold them, in order. docs/format.md §3."""

import contextlib
from collections.abc import Iterator

from gittrack import errors
from gittrack.core import layout
from gittrack.git import objects
from gittrack.git.repository import Repository


def oids(repo: Repository, tip: str, root: str) -> dict[int, str]:
    """Number -> blob of every segment of the series `root` in `tip`, a commit or its tree, in order."""
    with _damage(root, tip):
        found: dict[int, str] = {}
        for outer, directory in _entries(repo, tip, root).items():
            for inner, entry in _tree(repo, directory.oid).items():
                found[int(outer) * layout.PER_DIRECTORY + int(inner.partition(".")[0])] = entry.oid
        return dict(sorted(found.items()))


def read(repo: Repository, tip: str, root: str) -> Iterator[bytes]:
    """The bytes of the series, segment by segment, so that one of gigabytes is never in memory at once."""
    blobs = list(oids(repo, tip, root).values())
    with _damage(root, tip):
        for oid, data in zip(blobs, repo.read_many(blobs), strict=True):
            if data is None:
                raise KeyError(oid)
            yield data


def directory(repo: Repository, tip: str, name: str) -> dict[str, bytes]:
    """The files of one directory of the tree: name -> content."""
    with _damage(name, tip):
        return {path: repo.read(entry.oid)[1] for path, entry in _entries(repo, tip, name).items()}


def _entries(repo: Repository, tip: str, name: str) -> dict[str, objects.Entry]:
    kind, data = repo.read(tip)
    top = _tree(repo, objects.parse_commit(data).tree) if kind == "commit" else _entries_of(repo, data)
    return _tree(repo, top[name].oid) if name in top else {}


def _tree(repo: Repository, oid: str) -> dict[str, objects.Entry]:
    return _entries_of(repo, repo.read(oid)[1])


def _entries_of(repo: Repository, data: bytes) -> dict[str, objects.Entry]:
    return objects.parse_tree(data, repo.algorithm)


@contextlib.contextmanager
def _damage(name: str, tip: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError) as error:
        raise errors.DamagedRecord(
            f"{name} of {tip} cannot be read: {error!r}", "`git fsck` and `git track doctor` say what is missing"
        ) from error
