"""The program in docs/format.md that reads a store without gittrack does what the page says."""

import hashlib
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.store.local import open_local

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"


@pytest.fixture
def restore(tmp_path):
    """Run the page's program; returns its exit status and the file it made, or None."""
    program = tmp_path / "restore.py"
    (text,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    program.write_text(text)

    def call(store, sha256):
        target = tmp_path / "out"
        argv = [sys.executable, "-I", str(program), str(store), sha256, str(target)]
        code = subprocess.run(argv, check=False, capture_output=True).returncode
        return code, target.read_bytes() if target.exists() else None

    return call


def digest(data):
    return hashlib.sha256(data).hexdigest()


def put(store, root, name, data):
    path = store / root / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_it_reads_a_file_of_one_chunk_of_several_and_of_none(tmp_path, restore):
    store = tmp_path / "objects"
    parts = [b"a" * 5000, b"b" * 70_000, b"a" * 5000]
    whole = b"".join(parts)
    for part in parts:
        put(store, "chunks", digest(part), part)
    lines = [f"gittrack chunks 1 {len(whole)}", *(f"{digest(part)} {len(part)}" for part in parts)]
    put(store, "files", digest(whole), ("\n".join(lines) + "\n").encode())
    for content in (whole, parts[0], b""):
        assert restore(store, digest(content)) == (0, content)


def test_it_reads_what_gittrack_has_stored(tmp_path, restore):
    content = open_local(str(tmp_path))
    for data in (random.Random(1).randbytes(9_000_000), b"small", b""):
        kept = content.put_bytes(data)
        assert restore(tmp_path / "objects", kept.sha256) == (0, data)
    assert any((tmp_path / "objects" / "files").rglob("*"))


def test_it_makes_no_file_of_damaged_or_missing_bytes(tmp_path, restore):
    store = tmp_path / "objects"
    put(store, "chunks", digest(b"one"), b"two")
    for sha256 in (digest(b"one"), digest(b"never kept")):
        code, content = restore(store, sha256)
        assert code != 0 and content is None
