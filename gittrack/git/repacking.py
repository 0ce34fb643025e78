"""Objects taken out of the files that have them: loose ones are deleted, packs are written again without them.

Any of it may be done twice, and killed in between: a pack goes only when another one has the rest of it, and git
finds objects wherever they are.
"""

import contextlib
import glob
import os
import shutil
from collections.abc import Collection, Iterator, Mapping

from gittrack import errors
from gittrack.git import loose, ownpacks, packindex
from gittrack.git.command import Git
from gittrack.git.packindex import PackIndex

# The index last: git passes over one without its pack, and a pack without its index may be one that is just coming.
_SUFFIXES = (".pack", ".rev", ".bitmap", ".mtimes", ".keep", ".promisor", ".idx")
_COPIED = (".keep", ".promisor")  # what somebody has said of a pack holds for the new one


def without(git: Git, gone: Collection[str], algorithm: str, before: int) -> int:
    """Remove these objects from the object store of the repository; bytes freed. Those that it borrows from another
    one stay, and so does what somebody has marked as used since `before` (nanoseconds): who writes an object that is
    there already only does that, and names it in a moment.

    Raises CannotWrite, GitFailed: then some may be there still.
    """
    store = os.path.join(git.paths.common_dir, "objects")
    size = _size(store)
    try:
        for oid in gone:
            with contextlib.suppress(FileNotFoundError):
                path = loose.path_of(store, oid)
                if os.stat(path).st_mtime_ns < before:
                    os.unlink(path)
        every = packs(store, gone, algorithm)
        rewritten(git, {path: some for path, some in every if os.stat(path + ".pack").st_mtime_ns < before}, algorithm)
        forget_graph(git, store, gone)
    except OSError as error:
        raise loose.cannot_write(error, store) from error
    return max(0, size - _size(store))


def packs(store: str, gone: Collection[str], algorithm: str) -> Iterator[tuple[str, set[str]]]:
    """Packs, without suffix, that have some of the objects, and which."""
    for name in sorted(glob.glob("pack-*.idx", root_dir=os.path.join(store, "pack"))):
        path = os.path.join(store, "pack", name.removesuffix(".idx"))
        try:
            with PackIndex(path + ".idx", algorithm) as index:
                if os.path.exists(path + ".pack") and (some := index.among(gone)):
                    yield path, some
        except FileNotFoundError:  # another git has repacked meanwhile
            continue
        except ValueError as error:
            raise errors.Unsupported(f"{path} cannot be written anew: {error}", "git repack -a -d, and again") from None


def rewritten(git: Git, found: Mapping[str, Collection[str]], algorithm: str) -> None:
    """Put packs without these objects in the place of these. Raises CannotWrite, GitFailed, OSError."""
    store = os.path.join(git.paths.common_dir, "objects")
    for path, gone in found.items():
        _copied(git, path, gone, algorithm)
    remove(git, [*found, *_begun(store)])


def _copied(git: Git, path: str, gone: Collection[str], algorithm: str) -> None:
    """Another pack with what is left of this one."""
    with PackIndex(path + ".idx", algorithm) as index:
        rest = "".join(f"{oid}\n" for oid in index.in_order() if oid not in gone).encode()
    if not rest:
        return
    # window 0: what is stored as a delta stays one, and nothing is searched for anew
    args = ("pack-objects", "-q", "--window=0", "--delta-base-offset", os.path.join(os.path.dirname(path), "pack"))
    name = git.run("-c", "pack.packSizeLimit=0", *args, input=rest).decode().strip()
    new = os.path.join(os.path.dirname(path), f"pack-{name}")
    for suffix in _COPIED:
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, new + suffix)
    ownpacks.rename(git.paths.common_dir, os.path.basename(path), f"pack-{name}")


def remove(git: Git, found: Collection[str]) -> None:
    """Remove these packs; before them an index of several packs, which names them. Raises GitFailed, OSError."""
    place = os.path.join(glob.escape(git.paths.common_dir), "objects", "pack", "multi-pack-index*")
    indexes = glob.glob(place) if found else []
    for path in (*indexes, *(path + suffix for path in found for suffix in _SUFFIXES)):
        _removed(path)
    if indexes:
        git.run("multi-pack-index", "write")


def _begun(store: str) -> Iterator[str]:
    """Packs that a call which was killed had begun to remove."""
    for name in glob.glob("pack-*.idx", root_dir=os.path.join(store, "pack")):
        path = os.path.join(store, "pack", name.removesuffix(".idx"))
        if not os.path.exists(path + ".pack"):
            yield path


def forget_graph(git: Git, store: str, gone: Collection[str]) -> None:
    """Make git's table of commits anew, when it names some of them. Raises GitFailed, OSError."""
    info = os.path.join(store, "info")
    if not gone or not any(packindex.graph_has(path, gone) for path in _graphs(info)):
        return
    for name in ("commit-graph", "commit-graphs"):
        path = os.path.join(info, name)
        shutil.rmtree(path) if os.path.isdir(path) else _removed(path)
    git.run("commit-graph", "write", "--reachable", "--no-progress")


def _graphs(info: str) -> list[str]:
    return [*glob.glob(f"{glob.escape(info)}/commit-graph"), *glob.glob(f"{glob.escape(info)}/commit-graphs/*.graph")]


def _removed(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _size(store: str) -> int:
    total = 0
    for folder, _, names in os.walk(store):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total
