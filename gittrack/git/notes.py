"""A list of objects in `<common dir>/track`: written before something is done to them, read by the next call when the
first was killed."""

import contextlib
import os
from collections.abc import Iterable

from gittrack.git import loose, objects


def path(common: str, name: str) -> str:
    return os.path.join(common, "track", name)


def read(common: str, name: str) -> list[str]:
    """The oids; none where there is no such note."""
    with contextlib.suppress(FileNotFoundError), open(path(common, name), encoding="ascii", errors="replace") as file:
        return [oid for line in file if objects.is_oid(oid := line.rstrip("\n"))]
    return []


def write(common: str, name: str, oids: Iterable[str]) -> None:
    """All or nothing, and on the disk. Raises CannotWrite."""
    place = path(common, name)
    temporary = f"{place}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(temporary, "w", encoding="ascii") as file:
            file.writelines(f"{oid}\n" for oid in oids)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except OSError as error:
        raise loose.cannot_write(error, place) from error


def remove(common: str, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path(common, name))
