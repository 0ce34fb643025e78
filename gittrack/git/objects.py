"""git objects as values: encoded and hashed here, before anything is written.

A fold must give the same oids on any machine, and a reader must never meet a ref whose objects are missing; both are
simple when an object knows its oid before it touches the disk. What git's own fsck would complain about is refused or
mended here, so that no backend can write it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

FILE = 0o100644
EXECUTABLE = 0o100755
LINK = 0o120000
DIRECTORY = 0o040000
SUBMODULE = 0o160000


class Object(NamedTuple):
    oid: str
    kind: str  # blob, tree, commit
    data: bytes


class Entry(NamedTuple):
    """What a name in a tree stands for."""

    mode: int
    oid: str


class Commit(NamedTuple):
    """A decoded commit. Identities are `Name <email>`; times are seconds since the epoch."""

    tree: str
    parents: tuple[str, ...]
    author: str
    authored: int
    committer: str
    committed: int
    message: str


def make(kind: str, data: bytes, algorithm: str = "sha1") -> Object:
    digest = hashlib.new(algorithm, b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return Object(digest.hexdigest(), kind, data)


def blob(data: bytes, algorithm: str = "sha1") -> Object:
    return make("blob", data, algorithm)


def tree(entries: Mapping[str, Entry], algorithm: str = "sha1") -> Object:
    """One directory. Raises ValueError for a name that git would refuse to check out."""
    return tree_of(dict(row(name, entry) for name, entry in entries.items()), algorithm)


def tree_of(rows: Mapping[bytes, bytes], algorithm: str = "sha1") -> Object:
    """One directory out of its rows."""
    return make("tree", b"".join([rows[key] for key in sorted(rows)]), algorithm)


def row(name: str, entry: Entry) -> tuple[bytes, bytes]:
    """What a tree sorts an entry by, and how it holds it. Raises ValueError as `tree`."""
    encoded = _name(name)
    data = b"%o %s\0%s" % (entry.mode, encoded, bytes.fromhex(entry.oid))
    return (encoded + b"/" if entry.mode == DIRECTORY else encoded), data


def nested(files: Mapping[str, Entry], algorithm: str = "sha1") -> list[Object]:
    """The trees of `path/with/slashes` -> entry, each after those that it holds: the last one is the root."""
    here: dict[str, Entry] = {}
    below: dict[str, dict[str, Entry]] = {}
    for path, entry in files.items():
        first, slash, rest = path.partition("/")
        if slash:
            below.setdefault(first, {})[rest] = entry
        else:
            here[path] = entry
    made: list[Object] = []
    for name, inner in below.items():
        if name in here:
            raise ValueError(f"{name!r} is both a file and a directory")
        made += nested(inner, algorithm)
        here[name] = Entry(DIRECTORY, made[-1].oid)
    return [*made, tree(here, algorithm)]


def commit(
    tree_oid: str,
    parents: Sequence[str],
    author: str,
    seconds: int,
    message: str,
    algorithm: str = "sha1",
) -> Object:
    """`author` (`Name <email>`) is the committer too, dates are at +0000. Bytes that git forbids are mended."""
    who = f"{identity(author)} {max(0, int(seconds))} +0000"
    text = message.replace("\0", "").rstrip("\n") + "\n"
    head = [f"tree {tree_oid}", *(f"parent {oid}" for oid in parents), f"author {who}", f"committer {who}"]
    return make("commit", _encode("\n".join(head) + "\n\n" + text), algorithm)


def identity(text: str) -> str:
    """`Name <email>` in a form that git's fsck accepts, whatever was configured."""
    name, _, rest = text.partition("<")
    email = rest.partition(">")[0]
    return f"{_crud(name) or 'unknown'} <{_crud(email)}>"


def parse_tree(data: bytes, algorithm: str = "sha1") -> dict[str, Entry]:
    """Name -> entry, in git's order. Raises ValueError when the bytes are no tree."""
    width = hashlib.new(algorithm, usedforsecurity=False).digest_size
    entries: dict[str, Entry] = {}
    at = 0
    while at < len(data):
        nul = data.index(b"\0", at)
        mode, space, name = data[at:nul].partition(b" ")
        at = nul + 1 + width
        if not space or at > len(data):
            raise ValueError("not a tree")
        entries[name.decode("utf-8", "surrogateescape")] = Entry(int(mode, 8), data[nul + 1 : at].hex())
    return entries


def parse_commit(data: bytes) -> Commit:
    """Any commit, signed and merged ones included. Raises ValueError when the bytes are no commit."""
    head, _, body = data.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    parents: list[str] = []
    for line in head.split(b"\n"):
        key, space, value = line.partition(b" ")
        if key == b"parent":
            parents.append(value.decode("ascii"))
        elif key and space:  # a line that begins with a blank goes on with a signature
            fields.setdefault(key, value)
    if not {b"tree", b"author", b"committer"} <= fields.keys():
        raise ValueError("not a commit")
    encoding = fields.get(b"encoding", b"utf-8").decode("ascii", "replace")
    author, authored = _who(fields[b"author"], encoding)
    committer, committed = _who(fields[b"committer"], encoding)
    message = _decode(body, encoding)
    return Commit(fields[b"tree"].decode("ascii"), tuple(parents), author, authored, committer, committed, message)


def links(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Tree and parents of a commit, without decoding the rest. Raises ValueError when the bytes are no commit."""
    match = _LINKS.match(data)
    if match is None:
        raise ValueError("not a commit")
    return match[1].decode(), tuple(match[2].decode().split()[1::2])


def is_oid(text: str) -> bool:
    """Whether `text` is a whole object id, sha1 or sha256. Whatever goes into a command's input passes here."""
    return _OID.fullmatch(text) is not None


def whole(text: str) -> str:
    """`text`, which must be a whole oid: git would also answer to a branch, and libgit2 to half an oid."""
    if not is_oid(text):
        raise ValueError(f"{text!r} is not an object id")
    return text


def unique(objects: Iterable[Object]) -> list[Object]:
    """Each object once, in the order of first appearance."""
    return list({found.oid: found for found in objects}.values())


_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LINKS = re.compile(rb"tree ([0-9a-f]{40}(?:[0-9a-f]{24})?)\n((?:parent [0-9a-f]{40,64}\n)*)author ")
_WHO = re.compile(rb"(.*?) ?(-?\d+) ([-+]\d+)\Z", re.DOTALL)
_FORBIDDEN = {".", "..", ".git"}  # .git in any case: checked out on macOS it would be the real one


def _name(name: str) -> bytes:
    if not name or "/" in name or "\0" in name or name.lower() in _FORBIDDEN:
        raise ValueError(f"{name!r} cannot be a name in a git tree")
    return name.encode("utf-8", "surrogateescape")


def _crud(text: str) -> str:
    return re.sub(r"[<>\n\r\0]", "", text).strip(" \t.,:;\"'\\")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _who(value: bytes, encoding: str) -> tuple[str, int]:
    match = _WHO.match(value)
    return (_decode(match[1], encoding), int(match[2])) if match else (_decode(value, encoding), 0)


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except LookupError:  # an encoding that Python does not know
        return data.decode("utf-8", "replace")
