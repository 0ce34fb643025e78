"""What goes to an engine for a build: a tar of files that are at hand, or of a folder of a snapshot.

The work tree is never read: what is built is what the run's snapshot has. Everything in it belongs to nobody and is of
no time, so the builder's cache is right about what is new.
"""

import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gittrack.git import catfile
from gittrack.git.command import Git
from gittrack.git.export import Listed

DOCKERFILE = ".gittrack.Dockerfile"
_PIECE = 1 << 20
_IN_MEMORY = 16 << 20
_LINK, _PROGRAM, _SUBMODULE = "120000", "100755", "160000"


def of_files(dockerfile: str, files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Small files."""
    rows = [(path, "100644", files[path]) for path in sorted(files)]
    return _tar([(DOCKERFILE, "100644", dockerfile.encode()), *rows])


def of_snapshot(git: Git, files: Sequence[Listed], folder: str, dockerfile: bytes, prefix: str = "") -> Iterator[bytes]:
    """Files of a snapshot below `folder`, named from there on, with `prefix` before."""
    chosen = [one for one in files if one.mode != _SUBMODULE]
    contents = catfile.many(git, [one.oid for one in chosen])
    rows = (
        (prefix + one.path[len(folder) :], one.mode, found.data)
        for one, found in zip(chosen, contents, strict=True)
        if found is not None
    )
    return _tar(rows, [(DOCKERFILE, "100644", dockerfile)])


def _tar(rows: Iterable[tuple[str, str, bytes]], more: Iterable[tuple[str, str, bytes]] = ()) -> Iterator[bytes]:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for part in (rows, more):
                for path, mode, data in part:
                    entry = tarfile.TarInfo(path)
                    entry.mode = 0o755 if mode == _PROGRAM else 0o644
                    if mode == _LINK:
                        entry.type, entry.linkname = tarfile.SYMTYPE, data.decode("utf-8", "surrogateescape")
                        tar.addfile(entry)
                    else:
                        entry.size = len(data)
                        tar.addfile(entry, io.BytesIO(data))
        spool.seek(0)
        while piece := spool.read(_PIECE):
            yield piece
