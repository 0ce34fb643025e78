"""Who this clone is among all that annotate the same runs.

A log of annotations has one writer, so two clones must never share an id. An id is therefore bound to what a copy
cannot keep: the machine, the path and inode of the git directory, and the inode of the very file that the id is written
in. A copied clone or a restored backup finds that it is not the one its file speaks of, takes a new id and goes on.
What no file can tell, a disk image that was copied whole, is found when a remote has a log under our id that says what
we never said: then `renew`.
"""

import contextlib
import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.git.discover import Paths
from gittrack.recorder import process


class Binding(NamedTuple):
    """One place from which this clone is used: a bind mount in a container is another one than the host's."""

    machine: str | None
    path: str
    inode: int


def path(paths: Paths) -> str:
    return os.path.join(paths.common_dir, "track", "writer.json")


def here(paths: Paths) -> Binding:
    return Binding(process.machine_id(), paths.common_dir, os.stat(paths.common_dir).st_ino)


def known(paths: Paths) -> str | None:
    """The writer id of this clone; None when it has none yet, or only one that was copied from elsewhere."""
    return _bindings(path(paths)).get(here(paths))


def writer_id(paths: Paths) -> str:
    """The writer id of this clone, made at the first call. Raises CannotWrite."""
    place = here(paths)
    bindings = _bindings(path(paths))
    if place not in bindings:
        bindings[place] = os.urandom(8).hex()
        _keep(paths, bindings)
    return bindings[place]


def renew(paths: Paths, new: str | None = None) -> str:
    """A new id for this clone: somebody else writes under the one it has. Raises CannotWrite.

    What was said under the old one is not touched; `parting.part` takes along what nobody else has.
    """
    place, new = here(paths), new or os.urandom(8).hex()
    bindings = _bindings(path(paths))
    old = bindings.get(place)
    former = [*left(paths), *([old] if old else [])]
    _keep(paths, {one: new if it == old else it for one, it in {**bindings, place: new}.items()}, former)
    return new


def left(paths: Paths) -> list[str]:
    """The ids under which this clone wrote until somebody else did, too; the oldest first. Not those of the clone that
    it is a copy of."""
    try:
        with open(path(paths), "rb") as opened:
            inode = os.fstat(opened.fileno()).st_ino
            content: Any = json.loads(opened.read())
            found = content["left"] if content["file"] == inode else None
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _keep(paths: Paths, bindings: dict[Binding, str], former: Sequence[str] | None = None) -> None:
    try:
        _save(path(paths), bindings, left(paths) if former is None else former)
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot write {path(paths)}: {error.strerror}", "make the repository's .git directory writable for you"
        ) from error


def _bindings(file: str) -> dict[Binding, str]:
    """What the file says, unless it is a copy of the file that says it."""
    try:
        with open(file, "rb") as opened:
            inode = os.fstat(opened.fileno()).st_ino
            content: Any = json.loads(opened.read())
            if content["file"] != inode:
                return {}
            return {Binding(one["machine"], one["path"], one["inode"]): one["writer"] for one in content["bindings"]}
    except (OSError, ValueError, KeyError, TypeError):  # without a file that is whole, an id is made: it costs one ref
        return {}


def _save(file: str, bindings: dict[Binding, str], former: Sequence[str]) -> None:
    os.makedirs(os.path.dirname(file), exist_ok=True)
    temporary = f"{file}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as opened:  # renamed, it keeps the inode that it names
            content = {
                "bindings": [{**place._asdict(), "writer": writer} for place, writer in bindings.items()],
                "file": os.fstat(opened.fileno()).st_ino,
            } | ({"left": list(former)} if former else {})
            json.dump(content, opened, indent=1)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
