"""What goes to an engine for a build: a tar of files that are at hand, or of a folder of a snapshot.

The work tree is never read: what is built is what the run's snapshot has. Everything in it belongs to nobody and is of
no time, so the builder's cache is right about what is new.
"""

import io
import itertools
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gittrack.git import catfile
from gittrack.git.command import Git
from gittrack.git.export import Listed

DOCKERFILE = ".gittrack.Dockerfile"
_PIECE = 1 << 20
_IN_MEMORY = 16 << 20
_FILE, _LINK, _PROGRAM, _SUBMODULE, _FOLDER = "100644", "120000", "100755", "160000", "040000"
Row = tuple[str, str, bytes]  # path, mode, content


def of_files(dockerfile: str, files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Small files."""
    rows = [(path, _FILE, files[path]) for path in sorted(files)]
    return _tar([(DOCKERFILE, _FILE, dockerfile.encode()), *rows])


def of_snapshot(git: Git, files: Sequence[Listed], folder: str, dockerfile: bytes) -> Iterator[bytes]:
    """Files of a snapshot below `folder`, named from there on."""
    rows = ((path[len(folder) :], mode, data) for path, mode, data in _read(git, files))
    return _tar(itertools.chain(rows, [(DOCKERFILE, _FILE, dockerfile)]))


def of_run(
    git: Git, files: Sequence[Listed], work: str, folders: Iterable[str], more: Mapping[str, bytes], dockerfile: str
) -> Iterator[bytes]:
    """All files of a snapshot, in the folder `work`, besides `more`. Whoever the container is may write there, and in
    `folders`."""
    parents = {f"{work}/{path[:at]}" for path in (one.path for one in files) for at in _slashes(path)}
    rows = itertools.chain(
        ((path, _FOLDER, b"") for path in sorted({work, *parents, *folders})),
        ((f"{work}/{path}", mode, data) for path, mode, data in _read(git, files)),
        ((path, _FILE, data) for path, data in more.items()),
        [(DOCKERFILE, _FILE, dockerfile.encode())],
    )
    return _tar(rows, 0o022)


def _slashes(path: str) -> Iterator[int]:
    return (at for at, letter in enumerate(path) if letter == "/")


def _read(git: Git, files: Sequence[Listed]) -> Iterator[Row]:
    chosen = [one for one in files if one.mode != _SUBMODULE]
    contents = catfile.many(git, [one.oid for one in chosen])
    return ((one.path, one.mode, found.data) for one, found in zip(chosen, contents, strict=True) if found is not None)


def _tar(rows: Iterable[Row], writable: int = 0) -> Iterator[bytes]:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, mode, data in rows:
                entry = tarfile.TarInfo(path)
                entry.mode = (0o755 if mode in (_PROGRAM, _FOLDER) else 0o644) | writable
                if mode == _LINK:
                    entry.type, entry.linkname = tarfile.SYMTYPE, data.decode("utf-8", "surrogateescape")
                    tar.addfile(entry)
                elif mode == _FOLDER:
                    entry.type = tarfile.DIRTYPE
                    tar.addfile(entry)
                else:
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        spool.seek(0)
        while piece := spool.read(_PIECE):
            yield piece
