"""The files that were kept with a run: which there are, and their bytes, wherever these are.

Small files are in the record's own tree, others in a store; those of a live run may still be on their way. Whoever asks
need not know: a `Source` looks in one place after the other and gives nothing that does not have the right digest.
"""

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import BinaryIO, NamedTuple, TypeVar

from gittrack import errors
from gittrack.core import annotations, codec, layout, parcels, twins
from gittrack.core.model import Record
from gittrack.git import objects
from gittrack.git.repository import Repository
from gittrack.git.trees import TreeEditor
from gittrack.runs import live, logs, reader
from gittrack.runs.own_store import own_store
from gittrack.store import reassemble
from gittrack.store.content import Content, Progress
from gittrack.store.directory import DirectoryStore

CHECKPOINT = "checkpoint"
PIECE = 1024 * 1024
IN_MEMORY = 32 * 1024 * 1024  # bytes up to which a file is read whole

Result = TypeVar("Result")


class Artifact(NamedTuple):
    """A file that was kept."""

    path: str
    sha256: str
    size: int
    mode: str  # 100644, 100755, or 120000: a link, whose content is its target
    where: str  # git: in the record's tree; or store
    parcel: str
    number: int  # of the parcel; -1: no commit has it yet
    kind: str  # checkpoint, or what the line says that logged it
    step: int | None
    w: float  # when it was handed over


class _Named(NamedTuple):
    """What the line that names a parcel says about it."""

    kind: str
    step: int | None
    w: float


def artifacts(repo: Repository, record: Record) -> list[Artifact]:
    """All files that were kept with the run so far, in the order in which they were."""
    names: dict[str, _Named] = {}
    kept: dict[tuple[str, str], Artifact] = {}
    numbers: dict[str, int] = {}
    for event, committed in reader.of_files(repo, record):
        parcel, w = event["parcel"], float(event.get("w") or 0.0)
        if event["e"] == "artifact":
            names.setdefault(parcel, _Named(event["kind"], event.get("s"), w))
        elif event["e"] == "kept" and (parcel, parcels.path_of(event)) not in kept:
            number = numbers.setdefault(parcel, len(numbers)) if committed else -1
            file = (parcels.path_of(event), event["sha256"], event["size"], event["mode"], event["in"])
            kept[parcel, file[0]] = Artifact(*file, parcel, number, "file", None, w)
    for one in reader.checkpoints(repo, record):
        if one.parcel:
            names[one.parcel] = _Named(CHECKPOINT, one.step, one.w)
    return [file._replace(**names[file.parcel]._asdict()) if file.parcel in names else file for file in kept.values()]


def listed(repo: Repository, record: Record) -> list[Artifact]:
    """The files of a run as people count them: what `torch.save` wrote and a checkpoint has as well is the
    checkpoint's."""
    return once(artifacts(repo, record))


def once(found: Sequence[Artifact]) -> list[Artifact]:
    """`listed`, of all files of a run."""
    files = [_kept(one) for one in found]
    theirs = twins.of_checkpoints(files, _logged(found))
    return [
        one for one, file in zip(found, files, strict=True) if one.kind != twins.SAVED or file.content not in theirs
    ]


def released(found: Sequence[Artifact], going: Collection[str]) -> set[str]:
    """`going`, parcels of a run with these files, and those that are let go of with them."""
    return twins.released([_kept(one) for one in found], _logged(found), going)


def _kept(one: Artifact) -> twins.Kept:
    return twins.Kept(one.parcel, twins.content(one.sha256, one.path))


def _logged(found: Sequence[Artifact]) -> dict[str, str]:
    return {one.parcel: one.kind for one in found if one.kind != CHECKPOINT}


def size_of(found: Sequence[Artifact]) -> int:
    """Bytes of all that is different: a file that was kept repeatedly is stored once."""
    return sum({one.sha256: one.size for one in found}.values())


def source(repo: Repository, record: Record, contents: Sequence[Content] = ()) -> "Source":
    """Where to get the bytes of a run's files. `contents`: stores to ask where nothing on this machine has them."""
    return Source(repo, record, contents)


class Source:
    """The bytes of one run's files. All methods raise MissingContent, CorruptContent and what stores raise."""

    def __init__(self, repo: Repository, record: Record, contents: Sequence[Content] = ()) -> None:
        self._repo = repo
        self._record = record
        self._trees: dict[str, TreeEditor] = {}
        self._contents = (own_store(repo.paths), *contents)

    def read(self, artifact: Artifact) -> bytes:
        """All of it."""
        small = self._small(artifact)
        if small is not None:
            return small
        file = self._of_lfs(artifact)
        if file is not None:
            with file:
                return file.read()
        return self._try(artifact, lambda content: content.read(artifact.sha256, artifact.size))

    def open(self, artifact: Artifact) -> BinaryIO:
        """The file, seekable, and verified: nobody can tell from a part of it whether it is the right one."""
        small = self._small(artifact)
        if small is not None:
            return io.BytesIO(small)
        return self._of_lfs(artifact) or self._try(artifact, lambda content: _opened(content, artifact))

    def pieces(self, artifact: Artifact) -> Iterator[bytes]:
        """All of it, in order, however large it is. A large file from afar is verified as it passes: that it was not
        the right one is said at its end, by CorruptContent."""
        small, file = self._small(artifact), None
        if small is None and (file := self._of_lfs(artifact)) is None:
            yield from self._named(artifact, self._try(artifact, lambda content: _passing(content, artifact)))
            return
        with file or io.BytesIO(small or b"") as opened:
            while data := opened.read(PIECE):
                yield data

    def copy_to(self, artifact: Artifact, path: str, progress: Progress | None = None) -> None:
        """Write it to `path`, which appears, or is replaced, when all of it is right."""
        mode = 0o755 if artifact.mode == "100755" else 0o644
        small = self._small(artifact)
        if small is not None:
            return _write(io.BytesIO(small), path, mode, progress)
        file = self._of_lfs(artifact)
        if file is not None:
            with file:
                return _write(file, path, mode, progress)
        return self._try(artifact, lambda found: found.copy_to(artifact.sha256, artifact.size, path, mode, progress))

    def _small(self, artifact: Artifact) -> bytes | None:
        """The bytes of a file that should be in the record, or on its way there."""
        if artifact.where != parcels.GIT:
            return None
        for data in self._places_of_small(artifact):
            if data is not None and len(data) == artifact.size and _digest(data) == artifact.sha256:
                return data
        return None

    def _places_of_small(self, artifact: Artifact) -> Iterator[bytes | None]:
        root = reader.tree_of(self._repo, self._record.id, self._record.root)
        if artifact.number >= 0 and root:
            yield self._in_tree(root, artifact)
        blob = live.blob(live.folder(self._repo.paths, self._record.id), artifact.sha256)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), open(blob, "rb") as file:
            yield file.read()
        now = reader.read(self._repo, self._record.id)  # committed since the record was read
        if now.root and now.tip != self._record.tip:
            same = (one for one in artifacts(self._repo, now) if one[:6] == artifact[:6] and one.number >= 0)
            yield from (self._in_tree(now.root, one) for one in same)

    def _in_tree(self, root: str, artifact: Artifact) -> bytes | None:
        """By walking the trees: a name may have what cannot be asked of git in a line."""
        try:
            if root not in self._trees:
                self._trees[root] = tree_of(self._repo, root)
            entry = self._trees[root].get(layout.file_path(artifact.number, artifact.path))
            return self._repo.read(entry.oid)[1] if entry is not None else None
        except (KeyError, ValueError, errors.DamagedRecord):  # another place may have it
            return None

    def _of_lfs(self, artifact: Artifact) -> BinaryIO | None:
        """The file in git-lfs's own storage, if it is there and right, and our store does not have it."""
        digest, path = artifact.sha256, of_lfs(self._repo, artifact.sha256)
        if not os.path.exists(path) or self._contents[0].has(digest, artifact.size):
            return None
        file = open(path, "rb")  # noqa: SIM115 - handed over, or closed below
        whole = hashlib.sha256()
        while piece := file.read(PIECE):
            whole.update(piece)
        if whole.hexdigest() == digest:
            file.seek(0)
            return file
        file.close()
        return None

    def _try(self, artifact: Artifact, get: Callable[[Content], Result]) -> Result:
        """What the first store that has the file gives."""
        failed: list[errors.GittrackError] = []
        for content in self._contents:
            try:
                return get(content)
            except errors.MissingContent:
                continue
            except errors.CannotWrite:  # the copy, and no other store would help
                raise
            except errors.GittrackError as error:  # damaged, or nobody to be reached: another store may have it whole
                failed.append(error)
        raise self._worst(artifact, failed)

    def _named(self, artifact: Artifact, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except errors.GittrackError as error:
            raise self._worst(artifact, [error]) from error

    def _worst(self, artifact: Artifact, failed: list[errors.GittrackError]) -> errors.GittrackError:
        what = f"{artifact.path!a} of run {self._record.id[: layout.SHORT]}"
        places = ", ".join(dict.fromkeys(content.store.url for content in self._contents))
        gone = annotations.ever_pruned(logs.operations(self._repo)).get(self._record.id, {}).get(artifact.parcel)
        damaged = [one for one in failed if isinstance(one, errors.CorruptContent)]
        for error in damaged or ([] if gone else failed):  # a place that does not answer says less than who let it go
            return type(error)(f"{what} cannot be read: {error.message}", error.hint)
        if gone is not None:
            return errors.MissingContent(
                f"{what} was let go of on {codec.format_time(gone.when)[:10]} by {gone.who}; it is not in {places}",
                f"a clone or store that was not cleaned up since may have it: sha256 {artifact.sha256}",
            )
        return errors.MissingContent(
            f"{what} ({artifact.size:,} bytes, sha256 {artifact.sha256}) is not in {places}",
            f"if nobody has pushed it: run `git track store push` in the clone that recorded it{self._whose()}",
        )

    def _whose(self) -> str:
        """Where that was, for people who share machines."""
        facts = self._record.facts
        name, host = (facts.get("user") or {}).get("name"), facts.get("host")
        return f" (by {name} on {host})" if name and host else ""


def _opened(content: Content, artifact: Artifact) -> BinaryIO:
    """Each chunk may be right and the list name others than the file's: so all of it is read before it is handed out.
    What is near is read twice, what is far is kept in a file that has no name any more."""
    file = artifact.sha256, artifact.size
    if artifact.size <= IN_MEMORY:
        return io.BytesIO(content.read(*file))
    if isinstance(content.store, DirectoryStore):
        return content.open(*file, whole=True)
    with tempfile.TemporaryDirectory(prefix="gittrack-") as folder:
        path = os.path.join(folder, "file")
        content.copy_to(*file, path)
        return open(path, "rb")


def _passing(content: Content, artifact: Artifact) -> Iterator[bytes]:
    file = artifact.sha256, artifact.size
    if artifact.size <= IN_MEMORY:
        return iter([content.read(*file)])
    if isinstance(content.store, DirectoryStore):
        content.verify(*file)
    return content.pieces(*file)


def of_lfs(repo: Repository, sha256: str) -> str:
    """Where git-lfs keeps a file."""
    return os.path.join(repo.paths.common_dir, "lfs", "objects", sha256[:2], sha256[2:4], sha256)


def tree_of(repo: Repository, root: str) -> TreeEditor:
    """The tree of a commit, or the tree itself, to be looked into. Raises KeyError, ValueError, DamagedRecord."""
    kind, data = repo.read(root)
    tree = objects.parse_commit(data).tree if kind == "commit" else root
    return TreeEditor(repo.algorithm, lambda oid: repo.read(oid)[1], tree)


def _write(file: BinaryIO, path: str, mode: int, progress: Progress | None) -> None:
    def fill(sink: reassemble.Sink) -> None:
        while piece := file.read(PIECE):
            sink(piece)
            if progress:
                progress(len(piece))

    reassemble.write(path, mode, fill)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
