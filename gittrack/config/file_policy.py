"""What of a work tree is captured: sizes and patterns of the settings, file names and secret rules of the core."""

from typing import NamedTuple

from gittrack.core import secret_paths, wide_text
from gittrack.core.redact import Redactor


class FilePolicy(NamedTuple):
    """Answers what `git.snapshot` asks. Equal ones judge alike."""

    max_file: int
    max_total: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    redactor: Redactor
    max_files: int = 50_000
    max_digest: int = 1_000_000_000

    def refuse_path(self, path: str, /) -> str | None:
        """Why an untracked file of this name is left out, or None."""
        return secret_paths.reason(path)

    def find_secrets(self, path: str, content: bytes, /) -> frozenset[tuple[str, bytes]]:
        """(kind, secret) of all secrets in the content of a file."""
        return secret_paths.find(self.redactor, path, content)

    def as_text(self, content: bytes, /) -> bytes:
        """What is text in a file that git takes for binary: UTF-16 in UTF-8, else nothing."""
        return wide_text.utf8(content) or b""
