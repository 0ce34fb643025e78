"""A file of a run in Python: what it is, and its bytes, opened, loaded or written somewhere; and lists of them.

Files come from a record, and a record may come from anybody: nothing here ever unpickles code.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, BinaryIO

from gittrack.compare.text import cell, line, size
from gittrack.config import environment
from gittrack.core import layout
from gittrack.core.model import Record
from gittrack.git.repository import Repository
from gittrack.lazy import lazy
from gittrack.runs import artifacts as kept
from gittrack.runs.artifacts import Artifact
from gittrack.store.content import Content

Open = Callable[[], Repository]

IN_MEMORY = 256 * 1024 * 1024  # bytes of a file up to which it is loaded from memory
SHOWN = 20  # files in a repr
TITLES = ("path", "step", "size", "kind")


class File:
    """A file that was kept with a run. `w`: when, in seconds since the epoch."""

    def __init__(self, repository: Open, record: Record, artifact: Artifact) -> None:
        self.path = artifact.path
        self.size = artifact.size
        self.sha256 = artifact.sha256
        self.mode = artifact.mode
        self.kind = artifact.kind
        self.step = artifact.step
        self.where = artifact.where
        self.w = artifact.w
        self._repository = repository
        self._record = record
        self._artifact = artifact

    def open(self) -> BinaryIO:
        """For reading, compared with its SHA-256 before you get it. Raises MissingContent, CorruptContent."""
        return self._source().open(self._artifact)

    def read(self) -> bytes:
        """All of it. Raises what `open` raises."""
        return self._source().read(self._artifact)

    def load(self, **options: Any) -> Any:
        """What it holds: by `torch.load(weights_only=True)` on the CPU, or `safetensors.torch.load`.

        `options` go to torch.load. Code in a file is never run: a file that needs it raises Unsupported.
        """
        door, source = lazy("gittrack.compare.loading"), self._source()
        if self.size <= IN_MEMORY:
            return door.from_bytes(self.path, source.read(self._artifact), options)
        with tempfile.TemporaryDirectory(prefix="gittrack-") as folder:
            name = os.path.join(folder, "file")
            source.copy_to(self._artifact, name)
            return door.from_file(self.path, name, options)

    def checkout(self, directory: str | os.PathLike[str], force: bool = False) -> None:
        """Write it below `directory`, under its path. Raises WouldOverwrite unless `force`, and Refused."""
        checkout(self._repository(), self._record, [self], directory, force)

    def _source(self) -> kept.Source:
        return kept.source(self._repository(), self._record, contents(self._repository()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and (self._record.id, self._artifact) == (other._record.id, other._artifact)

    def __hash__(self) -> int:
        return hash((self._record.id, self._artifact))

    def __repr__(self) -> str:
        at = f" at step {self.step}" if self.step is not None else ""
        run = self._record.id[: layout.SHORT]
        return f"<file {line(self.path)} of {run}{at}: {size(self.size)}, {cell(self.kind)}>"


class Files(list[File]):
    """Files of a run, in the order in which they were kept."""

    def __repr__(self) -> str:
        if not self:
            return "no files"
        rows = [TITLES, *self._rows()]
        widths = [max(len(row[n]) for row in rows) for n in range(len(TITLES))]
        texts = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*texts, self._total()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in TITLES)
        rows = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in self._rows())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{self._total()}</p>"

    def _rows(self) -> list[tuple[str, ...]]:
        return [(line(one.path), cell(one.step), size(one.size), cell(one.kind)) for one in self[:SHOWN]]

    def _total(self) -> str:
        more = f"… and {len(self) - SHOWN} more: " if len(self) > SHOWN else ""
        different = kept.size_of([one._artifact for one in self])
        return f"{more}{len(self)} file{'s' * (len(self) != 1)}, {size(different)}"


def of(repository: Open, record: Record, found: Sequence[Artifact]) -> Files:
    return Files(File(repository, record, one) for one in found)


def checkout(
    repo: Repository, record: Record, files: Sequence[File], directory: str | os.PathLike[str], force: bool
) -> None:
    """Write files below `directory`. Raises WouldOverwrite unless `force`; what is replaced can be undone.

    Raises Refused, after the others are written, for files whose paths lead out of the directory.
    """
    work = lazy("gittrack.runs.checkout")
    wanted, elsewhere = tuple(one._artifact for one in files), contents(repo)
    wish = work.Wish(code=False, directory=os.fspath(directory), files=wanted, contents=elsewhere)
    found = work.prepare(repo, record, wish)
    work.restore(repo, record, found, f"checkout({os.fspath(directory)!r}) in Python", "", force, lambda _: None)
    left = work.refused(found)
    if left is not None:
        raise left


def contents(repo: Repository) -> Sequence[Content]:
    """Where files come from that are not in this clone."""
    config = lazy("gittrack.git.command").config(repo.git)
    settings = lazy("gittrack.config.settings").load(repo.paths, environment.current(), config)
    found: list[Content] = lazy("gittrack.runs.stores").contents(repo, settings)
    return found
