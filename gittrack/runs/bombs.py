"""Whether a record that came from elsewhere holds what would fill the memory of whoever reads it.

A few kilobytes of a pack can be gigabytes of a blob. Documents and segments are read whole, so their sizes are asked
first; the files of a run are copied piece by piece, and may be large.
"""

import os
from collections.abc import Iterable

from gittrack.git.command import Git

LIMIT = 32 << 20  # bytes of what is read whole: segments are closed at 1 or 2 MiB
COMMIT_LIMIT = 1 << 20  # bytes of a commit: its message is one line and two trailers
_FILES = "files/"


def suspects(git: Git, tips: Iterable[str]) -> set[str]:
    """The blobs beyond LIMIT below these commits or trees, asked for all at once: mostly none."""
    said = "".join(f"{tip}\n" for tip in tips).encode()
    limits = (f"--filter=blob:limit={LIMIT + 1}", "--filter-print-omitted", "--missing=allow-any")
    found = git.call("rev-list", "--objects", "--no-object-names", *limits, "--stdin", input=said).out
    return {line[1:].decode() for line in found.splitlines() if line.startswith(b"~")}


def in_record(git: Git, root: str, large: set[str]) -> str | None:
    """What is wrong with the record at `root`, a commit or a tree: which of `large` is in it outside of its files."""
    for field in os.fsdecode(git.call("ls-tree", "-r", "-l", "-z", root).out).split("\0")[:-1]:
        about, _, path = field.partition("\t")
        _, _, oid, size = about.split()
        if oid in large and not path.startswith(_FILES):
            return f"its {path} has {int(size):,} bytes"
    return None
