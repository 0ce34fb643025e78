"""What nothing reaches, and which part of it only marked objects do. Removes nothing.

An object that nothing reaches may still be somebody's: a commit that was amended, a dropped stash. So of all that
nothing reaches, only that is given up which the marked ones need and none of the others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from gittrack.git import catfile, objects
from gittrack.git.command import Git, failure
from gittrack.git.discover import repository_format

Marked = Callable[[str, bytes], bool]  # oid and data of a commit -> whether it is to go


class Doomed(NamedTuple):
    """`going`: oid -> kind of what is given up; `held`: what the marked ones need and others do, too."""

    going: Mapping[str, str]
    held: frozenset[str]


def doomed(git: Git, algorithm: str, marked: Marked, names: Collection[str], more: Iterable[str] = ()) -> Doomed:
    """`names`: entries of trees that are to go with all below them, and the trees above. `more`: objects that were
    going before. Raises GitFailed when git cannot tell what is reached."""
    kinds = _unreached(git)
    asked = [oid for oid, kind in kinds.items() if kind in ("commit", "tree", "tag")]
    below: dict[str, tuple[str, ...]] = {}  # what each object names
    roots = {oid for oid in more if oid in kinds}
    spoiled: list[tuple[str, str]] = []  # trees with such an entry, and what that stands for
    for oid, found in zip(asked, catfile.many(git, asked), strict=True):
        if found is None:
            continue
        if found.kind == "tree":
            entries = _entries(found.data, algorithm)
            below[oid] = tuple(entries.values())
            spoiled += [(oid, entry) for name, entry in entries.items() if name in names]
        elif found.kind == "commit":
            read = objects.parse_commit(found.data)
            below[oid] = (read.tree, *read.parents)
            if marked(oid, found.data):
                roots.add(oid)
        else:
            below[oid] = (found.data[7:].partition(b"\n")[0].decode("ascii", "replace"),)
    going = _closure([*roots, *(entry for _, entry in spoiled)], below, kinds)
    going |= _above({oid for oid, _ in spoiled}, below, kinds)
    held = _needed(going, below)
    return Doomed({oid: kinds[oid] for oid in going - held}, frozenset(held))


def _unreached(git: Git) -> dict[str, str]:
    """oid -> kind of every object that no ref, HEAD, index or reflog of any work tree reaches."""
    partial = repository_format(git.paths).partial
    options = ("--all", "--reflog", "--indexed-objects", *(("--missing=allow-promisor",) if partial else ()))
    with git.popen("rev-list", "--objects", "--no-object-names", *options) as process:
        assert process.stdout and process.stderr
        reached = {bytes.fromhex(line.strip().decode("ascii")) for line in process.stdout}
        said = process.stderr.read()
    if process.returncode != 0:
        raise failure(("rev-list",), process.returncode, said, git.paths)
    found: dict[str, str] = {}
    form = "--batch-check=%(objectname) %(objecttype)"
    with git.popen("cat-file", "--batch-all-objects", "--unordered", "--buffer", form) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            oid, _, kind = line.decode("ascii").rstrip("\n").partition(" ")
            if bytes.fromhex(oid) not in reached:
                found[oid] = kind
        said = process.stderr.read()
    if process.returncode != 0:
        raise failure(("cat-file",), process.returncode, said, git.paths)
    return found


def _entries(data: bytes, algorithm: str) -> dict[str, str]:
    try:
        found = objects.parse_tree(data, algorithm)
    except ValueError:  # damaged: it names nothing that could be told
        return {}
    return {name: entry.oid for name, entry in found.items()}


def _closure(roots: Iterable[str], below: Mapping[str, tuple[str, ...]], kinds: Mapping[str, str]) -> set[str]:
    """What the roots reach. A marked commit says nothing of its parents: they may be the user's."""
    found: set[str] = set()
    waiting = [oid for oid in roots if oid in kinds]
    while waiting:
        oid = waiting.pop()
        if oid not in found:
            found.add(oid)
            named = below.get(oid, ())
            waiting += [one for one in (named[:1] if kinds[oid] == "commit" else named) if one in kinds]
    return found


def _above(spoiled: Collection[str], below: Mapping[str, tuple[str, ...]], kinds: Mapping[str, str]) -> set[str]:
    """The trees above those that are spoiled, with them."""
    found = set(spoiled)
    size = -1
    while size != len(found):
        size = len(found)
        for oid, named in below.items():
            if oid not in found and kinds[oid] == "tree" and not found.isdisjoint(named):
                found.add(oid)
    return found


def _needed(going: set[str], below: Mapping[str, tuple[str, ...]]) -> set[str]:
    """What of `going` is needed by something that does not go."""
    waiting = [one for oid, named in below.items() if oid not in going for one in named if one in going]
    found: set[str] = set()
    while waiting:
        oid = waiting.pop()
        if oid not in found:
            found.add(oid)
            waiting += [one for one in below.get(oid, ()) if one in going]
    return found
