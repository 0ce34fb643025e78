"""Plain `git lfs` against a store, through `git track lfs-agent`: no git-lfs server anywhere."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import builder
import lfs_servers
import pytest

from gittrack.runs import gc_shared
from gittrack.store.directory import DirectoryStore

Git = Callable[..., str]
AGENT = (
    ("lfs.standalonetransferagent", "gittrack"),
    ("lfs.customtransfer.gittrack.path", "git-track"),
    ("lfs.customtransfer.gittrack.args", "lfs-agent"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def weights(repo: Path, git: Git, bare: Path, store: Path) -> Path:
    """A committed file of `repo` that git-lfs tracks, not pushed yet. Its store is a directory."""
    git("lfs", "install", "--local")
    set_up(git, repo, store)
    git("remote", "add", "origin", str(bare))
    git("lfs", "track", "*.bin")
    path = repo / "model.bin"
    path.write_bytes(random.Random(1).randbytes(6_000_000))
    git("add", ".")
    git("commit", "-q", "-m", "Weights")
    return path


def set_up(git: Git, repo: Path, store: Path | str) -> None:
    for name, value in (*AGENT, ("track.store", store if isinstance(store, str) else f"file://{store}")):
        git("config", name, value, cwd=repo)


def clone(git: Git, bare: Path, store: Path | str, tmp_path: Path) -> Path:
    path = tmp_path / "clone"
    git("clone", "-q", str(bare), str(path), cwd=tmp_path, GIT_LFS_SKIP_SMUDGE="1")
    git("lfs", "install", "--local", cwd=path)
    set_up(git, path, store)
    return path


def chunk_bytes(store: Path) -> int:
    return sum(path.stat().st_size for path in (store / "chunks").rglob("*") if path.is_file())


def test_git_lfs_pushes_to_a_store_and_another_clone_pulls_from_it(
    git: Git, bare: Path, store: Path, weights: Path, tmp_path: Path
) -> None:
    git("push", "-q", "origin", "main")
    assert not (bare / "lfs").exists()
    assert chunk_bytes(store) == 6_000_000

    other = clone(git, bare, store, tmp_path)
    assert (other / "model.bin").read_bytes().startswith(b"version https://git-lfs")
    git("lfs", "pull", cwd=other)

    assert (other / "model.bin").read_bytes() == weights.read_bytes()
    assert git("status", "--porcelain", cwd=other) == ""
    assert not list((other / ".git" / "track" / "tmp").iterdir())


def test_the_store_may_be_a_bucket(
    repo: Path, git: Git, bare: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets = tmp_path / "buckets"
    (buckets / "models").mkdir(parents=True)
    with lfs_servers.s3(buckets) as (address, keys):
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        url = f"s3://models/lab?endpoint={address}"
        git("config", "track.store", url)
        git("push", "-q", "origin", "main")
        other = clone(git, bare, url, tmp_path)
        git("lfs", "pull", cwd=other)
    assert (other / "model.bin").read_bytes() == weights.read_bytes()
    assert chunk_bytes(buckets / "models" / "lab") == 6_000_000


def test_a_changed_file_costs_what_changed(git: Git, store: Path, weights: Path) -> None:
    git("push", "-q", "origin", "main")
    data = bytearray(weights.read_bytes())
    data[3_000_000:3_000_100] = bytes(100)
    weights.write_bytes(data)
    git("commit", "-q", "-a", "-m", "Trained on")
    git("push", "-q", "origin", "main")
    assert chunk_bytes(store) < 11_000_000


def test_cleaning_up_the_store_of_runs_leaves_the_files_of_git_lfs(
    git: Git, repo: Path, bare: Path, store: Path, weights: Path, tmp_path: Path
) -> None:
    git("push", "-q", "origin", "main")
    opened = builder.opened(repo)
    for days in (0, 15):
        gc_shared.collect(opened, DirectoryStore(str(store)), time.time() + 1 + days * 86400)
    opened.close()
    other = clone(git, bare, store, tmp_path)
    git("lfs", "pull", cwd=other)
    assert (other / "model.bin").read_bytes() == weights.read_bytes()


def test_migrate_takes_the_files_of_git_lfs_along(
    git: Git, repo: Path, bare: Path, store: Path, weights: Path, track: Callable[..., object], tmp_path: Path
) -> None:
    (repo / "small.bin").write_bytes(b"small")
    git("add", ".")
    git("commit", "-q", "-m", "Another")
    git("push", "-q", "origin", "main")
    other = tmp_path / "other-bucket"
    said = str(track("store", "migrate", "--to", other.as_uri()))
    assert "copied 2 files, 6.0 MB" in said
    shutil.rmtree(store)
    set_up(git, repo, other)
    track("gc", "--store", "--grace", "0", "--yes")
    track("gc", "--store", "--grace", "0", "--yes")
    elsewhere = clone(git, bare, other, tmp_path)
    git("lfs", "pull", cwd=elsewhere)
    assert (elsewhere / "model.bin").read_bytes() == weights.read_bytes()
    assert (elsewhere / "small.bin").read_bytes() == b"small"


def test_a_store_that_is_gone_or_damaged_is_an_error_of_git_lfs(
    git: Git, bare: Path, store: Path, weights: Path, tmp_path: Path
) -> None:
    git("push", "-q", "origin", "main")
    other = clone(git, bare, store, tmp_path)
    chunk = next(path for path in (store / "chunks").rglob("*") if path.is_file())
    chunk.chmod(0o644)
    chunk.write_bytes(bytes(chunk.stat().st_size))
    assert git("lfs", "pull", cwd=other, code=None) is not None
    assert (other / "model.bin").read_bytes().startswith(b"version https://git-lfs")
    shutil.rmtree(store)
    git("lfs", "pull", cwd=other, code=2)
    assert (other / "model.bin").read_bytes().startswith(b"version https://git-lfs")


def test_without_a_store_the_push_is_refused_and_says_what_to_set(git: Git, repo: Path, weights: Path) -> None:
    git("config", "--unset", "track.store")
    done = subprocess.run(["git", "push", "origin", "main"], cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "store:" in done.stderr


def test_the_agent_answers_line_by_line(repo: Path, git: Git, store: Path, tmp_path: Path) -> None:
    set_up(git, repo, store)
    sent = tmp_path / "sent"
    sent.write_bytes(b"x" * 1000)
    import hashlib

    oid, absent = hashlib.sha256(b"x" * 1000).hexdigest(), "0" * 64
    lines = [
        {"event": "init", "operation": "upload", "remote": "origin", "concurrent": True, "concurrenttransfers": 3},
        {"event": "upload", "oid": oid, "size": 1000, "path": str(sent), "action": None},
        {"event": "upload", "oid": absent, "size": 1000, "path": str(sent), "action": None},
        {"event": "upload", "oid": absent, "size": 1000, "path": str(tmp_path / "none"), "action": None},
        {"event": "download", "oid": oid, "size": 1000, "action": None},
        {"event": "download", "oid": absent, "size": 1000, "action": None},
        {"event": "terminate"},
    ]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "git-track"), "lfs-agent"], cwd=repo, env=os.environ, check=True,
        input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0] == {}
    completed = [answer for answer in answers if answer.get("event") == "complete"]
    codes = [answer.get("error", {}).get("code") for answer in completed]
    assert codes == [None, 81, 1, None, 80]
    moved = [a["bytesSinceLast"] for a in answers if a.get("event") == "progress" and a["oid"] == oid]
    assert sum(moved) == 2000
    assert not os.path.exists(completed[3]["path"])
