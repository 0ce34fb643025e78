"""`cat` prints the file or says why not, also when somebody has meddled, or nobody listens."""

import os
import random
import subprocess
import sys

import keeping
import pytest

from gittrack.cli import artifacts
from gittrack.store import chunklist
from gittrack.store.content import list_key

MODEL, OTHER = (random.Random(seed).randbytes(9_000_000) for seed in (1, 2))


@pytest.fixture
def run(store, call):
    """A finished run with one large file, whose journal `keeping` wrote."""
    made = keeping.Run(store.paths)
    made.write(keeping.point(0), keeping.checkpoint(0, 0))
    made.keep(0, {"model.pt": MODEL}, where="store")
    made.write(keeping.end())
    call("ls")
    return made


def test_a_file_whose_list_names_other_chunks_is_not_printed(run, repo):
    content = run.store
    good, other = content.put_bytes(MODEL), content.put_bytes(OTHER)
    path = os.path.join(content.store.root, list_key(good.sha256))
    os.chmod(path, 0o600)
    with open(path, "wb") as file:
        file.write(chunklist.encode(content.chunks(other.sha256, other.size)))
    done = subprocess.run(["git-track", "cat", "latest:model.pt"], cwd=repo, capture_output=True)
    assert (done.returncode, done.stdout) == (81, b"")
    assert b"'model.pt' of run 0123456 cannot be read" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_who_listens_is_no_error(run, repo, unbuffered):
    ours, theirs = os.pipe()
    with subprocess.Popen(
        ["git-track", "cat", "latest:model.pt"], cwd=repo, stdout=theirs, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:  # fmt: skip
        os.close(theirs)
        assert os.read(ours, 100) == MODEL[:100]
        os.close(ours)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_character_that_lies_in_two_pieces_is_shown_whole(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    data = "größer\x1b[2J".encode()
    artifacts._print(bytes([byte]) for byte in [*data, 0xC3])
    assert capsys.readouterr().out == "größer\\x1b[2J\\xc3"
