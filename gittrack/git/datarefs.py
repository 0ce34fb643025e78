"""Bytes under keys, shared through any git remote: `refs/track/data/<id>/bytes` and `…/list` (docs/format.md).

Each `bytes` commit holds files at their keys and never changes; its `list` says what it holds, and is small, so that a
reader looks at all lists and fetches only what it needs. `<id>` is the oid of the `bytes` commit: the same content sent
again, after a push that was cut, is the same ref, and two clones never want one name for different things.
"""

import contextlib
import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from gittrack import errors
from gittrack.git import objects, pack
from gittrack.git.catfile import CatFile
from gittrack.git.command import Git, version
from gittrack.git.desk import Desk
from gittrack.git.discover import repository_format
from gittrack.git.lfs import shown

ROOT = "refs/track/data/"
_PARTS = ("list", "bytes")  # in the order in which they may go: no list without its bytes
HEAD = "gittrack data 1"
_LINE = re.compile(r"([0-9a-z/]{1,200}) (0|[1-9][0-9]{0,18})")
_REF = re.compile(r"refs/track/data/([0-9a-f]{40}(?:[0-9a-f]{24})?)/(bytes|list)")
_WHO = "gittrack <>"
_NO_FETCH_HEAD = (2, 29)
_SAMPLE = 32 * 1024
Read = Callable[[str], bytes]  # key -> its bytes


class Held(NamedTuple):
    """Where a key is."""

    id: str
    size: int


def send(at: Desk, remote: str, keys: Mapping[str, int], read: Read) -> None:
    """Push `keys` (with sizes) as one pair of refs. Raises StoreFailed when the remote cannot be reached or refuses."""
    refs = write(at, keys, read)
    try:
        _transfer(at, remote, "push", "--no-verify", "--quiet", remote, *(f"{oid}:{ref}" for ref, oid in refs.items()))
    except errors.StoreFailed:
        if not _has(at, remote, refs):  # another clone that sends the same at the same moment makes the same refs
            raise


def write(at: Desk, keys: Mapping[str, int], read: Read) -> dict[str, str]:
    """Put `keys` (with sizes) into the objects of the desk; ref -> oid of what is to name them. Once on one desk."""
    lines = "".join(f"{key} {size}\n" for key, size in sorted(keys.items()))
    held, listed = _write(at, keys, read, f"{HEAD}\n{lines}".encode())
    return {f"{ROOT}{held}/bytes": held, f"{ROOT}{held}/list": listed}  # in this order: no list without its bytes


def _has(at: Desk, remote: str, refs: Mapping[str, str]) -> bool:
    said = at.git.call("ls-remote", remote, *refs, keep=(at.lock,)).out.decode("utf-8", "replace")
    return {f"{oid}\t{ref}" for ref, oid in refs.items()} <= set(said.splitlines())


def fetch_lists(at: Desk, remote: str) -> None:
    """Make the desk know what the remote holds."""
    _transfer(at, remote, "fetch", *_quiet(at.git), remote, f"+{ROOT}*/list:{ROOT}*/list")


def fetch_bytes(at: Desk, remote: str, ids: Iterable[str]) -> None:
    """Bring what stands under these ids to the desk."""
    specs = [f"+{ROOT}{each}/bytes:{ROOT}{each}/bytes" for each in ids]
    if specs:
        _transfer(at, remote, "fetch", *_quiet(at.git), remote, *specs)


def read_lists(git: Git) -> dict[str, Held]:
    """Each key that the lists in a repository name. What does not read is passed over: others may hold the same."""
    found: dict[str, Held] = {}
    with contextlib.closing(CatFile(git)) as catfile:
        for ref in git.lines("for-each-ref", "--format=%(refname)", ROOT):
            match = _REF.fullmatch(ref)
            if match and match[2] == "list":
                answer = catfile.ask(f"{ref}:list")
                for key, size in _parse(answer.data if answer else b""):
                    found.setdefault(key, Held(match[1], size))
    return found


def remove(at: Desk, remote: str, keys: Collection[str]) -> int:
    """Take these keys out of what the remote holds: each pair of refs that has one is replaced by one of the rest.

    Gives how many pairs there were. Raises StoreFailed, and then what it was about to replace is still there.
    """
    fetch_lists(at, remote)
    of_ids = _keys_of_ids(at.git)
    hit = {each: held for each, held in of_ids.items() if not held.keys().isdisjoint(keys)}
    fetch_bytes(at, remote, hit)
    for each, held in hit.items():
        tips = {f"{ROOT}{each}/{part}": at.git.lines("rev-parse", f"{ROOT}{each}/{part}")[0] for part in _PARTS}
        rest = {key: size for key, size in held.items() if key not in keys}
        with contextlib.closing(DataStore(at.git, shown(remote))) as store:
            if rest:
                send(at, remote, rest, store.get)
        leases = [f"--force-with-lease={ref}:{oid}" for ref, oid in tips.items()]
        _transfer(at, remote, "push", "--no-verify", "--quiet", *leases, remote, *(f":{ref}" for ref in tips))
    return len(hit)


def _keys_of_ids(git: Git) -> dict[str, dict[str, int]]:
    """By id the keys that it holds, with their sizes."""
    found: dict[str, dict[str, int]] = {}
    with contextlib.closing(CatFile(git)) as catfile:
        for ref in git.lines("for-each-ref", "--format=%(refname)", ROOT):
            match = _REF.fullmatch(ref)
            if match and match[2] == "list":
                answer = catfile.ask(f"{ref}:list")
                found[match[1]] = dict(_parse(answer.data if answer else b""))
    return found


class DataStore:
    """A store that is only read: what the lists of a repository name, as far as the bytes are there."""

    def __init__(self, git: Git, url: str) -> None:
        self.url = url
        self.held = read_lists(git)
        self._catfile = CatFile(git)

    def get(self, key: str) -> bytes:
        """Raises MissingContent."""
        held = self.held.get(key)
        names = [f"{ROOT}{held.id}/{part}:{key}" for part in ("list", "bytes")] if held else []
        for name in names:
            found = self._catfile.ask(name)
            if found is not None and found.kind == "blob":
                return found.data
        raise errors.MissingContent(f"{key} is not in {self.url}", "push it from where the run was recorded")

    def size(self, key: str) -> int | None:
        held = self.held.get(key)
        return held.size if held else None

    def close(self) -> None:
        self._catfile.close()


def _write(at: Desk, keys: Mapping[str, int], read: Read, text: bytes) -> tuple[str, str]:
    """One pack at the desk with both commits: (bytes, list)."""
    algorithm = repository_format(at.users.paths).algorithm
    entries: dict[str, objects.Entry] = {}
    chunk_lists: dict[str, objects.Entry] = {}
    folder = os.path.join(at.folder, "objects", "pack")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "data.pack")
    with _Pack(path, algorithm) as out:
        for key in sorted(keys):
            blob = objects.blob(read(key), algorithm)
            out.add(blob)
            entries[key] = objects.Entry(objects.FILE, blob.oid)
            if key.startswith("files/"):  # a reader needs them to know which chunks it needs
                chunk_lists[key] = entries[key]
        blob = objects.blob(text, algorithm)
        out.add(blob)
        chunk_lists["list"] = objects.Entry(objects.FILE, blob.oid)
        commits = [out.commit(each) for each in (entries, chunk_lists)]
    at.git.run("index-pack", path)
    return commits[0], commits[1]


class _Pack:
    """A pack file that is written as its objects come. What is in it is counted at the end."""

    def __init__(self, path: str, algorithm: str) -> None:
        self._path = path
        self._algorithm = algorithm
        self._done: set[str] = set()

    def __enter__(self) -> "_Pack":
        self._file = open(self._path, "w+b")
        self._file.write(struct.pack(">4sLL", b"PACK", 2, 0))
        return self

    def __exit__(self, *_: object) -> None:
        with self._file as file:
            file.seek(0)
            file.write(struct.pack(">4sLL", b"PACK", 2, len(self._done)))
            file.seek(0)
            digest = hashlib.new(self._algorithm, usedforsecurity=False)
            while block := file.read(1 << 20):
                digest.update(block)
            file.write(digest.digest())

    def add(self, found: objects.Object) -> None:
        if found.oid not in self._done:
            self._done.add(found.oid)
            self._file.write(pack.head(found) + _compressed(found.data))

    def commit(self, entries: Mapping[str, objects.Entry]) -> str:
        """The same for the same entries, whoever writes it and when."""
        trees = objects.nested(entries, self._algorithm)
        commit = objects.commit(trees[-1].oid, (), _WHO, 0, "Artifacts", self._algorithm)
        for each in (*trees, commit):
            self.add(each)
        return commit.oid


def _compressed(data: bytes) -> bytes:
    """Weights do not compress, and to try it takes most of the time: a piece of them tells."""
    sample = data[:_SAMPLE]
    worth = len(zlib.compress(sample, 1)) < 0.9 * len(sample)
    return zlib.compress(data, 1 if worth else 0)


def _parse(text: bytes) -> Iterator[tuple[str, int]]:
    lines = text.decode("ascii", "replace").split("\n")
    if lines[0] == HEAD:
        for line in lines[1:]:
            match = _LINE.fullmatch(line)
            if match:
                yield match[1], int(match[2])


def _quiet(git: Git) -> tuple[str, ...]:
    plain = ("--quiet", "--no-tags", "--no-auto-gc", "--no-recurse-submodules")
    return (*plain, "--no-write-fetch-head") if version(git) >= _NO_FETCH_HEAD else plain


def _transfer(at: Desk, remote: str, *args: str) -> None:
    mirror = ("-c", f"remote.{remote}.mirror=false")  # it would forbid to name refs
    result = at.git.call(*mirror, *args, keep=(at.lock,))
    if result.code != 0:
        said = "; ".join(result.err.decode("utf-8", "replace").strip().splitlines()[-4:])
        hint = "check the remote and your access to it, then run the command again: what arrived is not sent twice"
        raise errors.StoreFailed(f"git {args[0]} of artifacts and {shown(remote)}: {said}", hint)
