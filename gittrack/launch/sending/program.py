"""The attendant at a host: one file, named by its content, sent once and shared by all jobs there."""

import os
import zipfile

from gittrack import errors
from gittrack.attendant import zipped
from gittrack.git.discover import Paths
from gittrack.launch.link.protocol import Link
from gittrack.runs import live


def at_host(link: Link, paths: Paths) -> str:
    """Its path there. Raises HostFailed, LinkLost, CannotWrite."""
    local = _built(paths)
    folder = f"{link.folder()}/cache"
    path = f"{folder}/{os.path.basename(local)}"
    size = os.path.getsize(local)
    known = {entry.name: entry for entry in link.list(folder) or ()}
    there = known.get(os.path.basename(local))
    if there is None or (there.kind, there.size) != ("file", size):
        link.send(local, path)
    return path


def _built(paths: Paths) -> str:
    """The zip in this clone's cache."""
    cache = os.path.join(live.track_dir(paths), "cache")
    try:
        path = os.path.join(cache, zipped.name())
        if not zipfile.is_zipfile(path):
            os.makedirs(cache, exist_ok=True)
            zipped.build(path)
    except OSError as error:
        raise errors.CannotWrite(
            f"cannot write {cache}: {error.strerror}", "make the .git directory writable for you"
        ) from error
    return path
