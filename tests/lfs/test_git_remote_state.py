"""What `git track store status` and `verify` say of a git remote that files are shared through."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lfs_servers
import pytest

Git = Callable[..., str]
Track = Callable[..., subprocess.CompletedProcess[str]]

TRAIN = """
import gittrack, random
run = gittrack.init()
for step in range(3):
    open("m.pt", "wb").write(random.Random(step).randbytes(1_100_000))
    run.checkpoint(path="m.pt", step=step)
run.finish()
"""
REMOTE = "origin (git remote)"


@pytest.fixture(params=["git-lfs in a directory", "git-lfs by HTTP", "git objects by SSH"])
def shared(
    repo: Path,
    git: Git,
    bare: Path,
    request: pytest.FixtureRequest,
    lfs_server: lfs_servers.Lfs,
    plain_ssh: lfs_servers.Ssh,
) -> Path:
    """`repo` with a run of three large files, and a remote of this kind."""
    git("remote", "add", "origin", plain_ssh.url(bare) if "SSH" in request.param else str(bare))
    if "HTTP" in request.param:
        git("config", "remote.origin.lfsurl", f"{lfs_server.url}/org/{os.path.basename(bare.parent)}/info/lfs")
    subprocess.run([sys.executable, "-c", TRAIN], cwd=repo, check=True)
    return repo


def rows(track: Track, *args: str, code: int = 0, **named: Any) -> dict[str, dict[str, Any]]:
    return {row["store"]: row for row in json.loads(track("store", "status", "--json", code=code, **named).stdout)}


def clone(git: Git, repo: Path, tmp_path: Path) -> Path:
    """Another clone, with the runs."""
    other = tmp_path / "other"
    git("push", "-q", "origin", "refs/track/runs/*:refs/track/runs/*", "HEAD:refs/heads/main")
    for args in (["init", "-q", str(other)], ["-C", str(other), "remote", "add", "origin"]):
        url = git("remote", "get-url", "origin").strip() if "remote" in args else None
        subprocess.run(["git", *args, *([url] if url else [])], check=True)
    where = subprocess.run(["git", "config", "remote.origin.lfsurl"], cwd=repo, capture_output=True, text=True).stdout
    if where:
        subprocess.run(["git", "config", "remote.origin.lfsurl", where.strip()], cwd=other, check=True)
    spec = "refs/track/runs/*:refs/track/runs/*"
    subprocess.run(["git", "fetch", "-q", "origin", spec], cwd=other, check=True)
    return other


def test_status_says_what_the_git_remote_has_before_and_after_a_push(
    shared: Path, git: Git, track: Track, tmp_path: Path
) -> None:
    before = rows(track)[REMOTE]
    assert (before["files"], before["lacks"], before["to_copy"], before["nowhere"]) == (0, 3, 3_300_000, 0)
    track("store", "push")
    after = rows(track)[REMOTE]
    assert (after["files"], after["size"], after["lacks"]) == (3, 3_300_000, 0)
    other = clone(git, shared, tmp_path)
    fresh = rows(track, cwd=other)
    assert fresh[REMOTE]["files"] == 3
    assert (fresh["this clone"]["lacks"], fresh["this clone"]["to_copy"], fresh["this clone"]["nowhere"]) == (
        3,
        3_300_000,
        0,
    )
    said = track("store", "status", cwd=other).stdout
    assert "neither here" not in said and "store pull" in said


def test_verify_reads_what_the_git_remote_has(shared: Path, git: Git, track: Track, tmp_path: Path) -> None:
    run = json.loads(track("ls", "--json").stdout)[0]["id"]
    found = track("store", "verify", code=81).stdout
    assert f"{REMOTE}: 0 files whole (0 B), 3 missing" in found and f"missing: m.pt of run {run[:7]}" in found
    assert f"repaired: m.pt of run {run[:7]}" in track("store", "verify", "--repair").stdout
    other = clone(git, shared, tmp_path)
    assert f"{REMOTE}: 3 files whole (3.3 MB)" in track("store", "verify", cwd=other).stdout
    assert not [*(other / ".git" / "track").rglob("chunks/*/*")]


def test_a_damaged_file_of_a_git_remote_is_named(repo: Path, git: Git, bare: Path, track: Track) -> None:
    git("remote", "add", "origin", str(bare))
    subprocess.run([sys.executable, "-c", TRAIN], cwd=repo, check=True)
    track("store", "push")
    victim = next(path for path in (bare / "lfs" / "objects").rglob("*") if path.is_file())
    victim.chmod(0o644)
    victim.write_bytes(b"x" * 1_100_000)
    said = json.loads(track("store", "verify", "--json", code=81).stdout)[REMOTE]
    assert said["files"] == 2 and said["missing"] == []
    (damaged,) = said["damaged"]
    assert damaged["sha256"] == victim.name and damaged["runs"][0]["path"] == "m.pt"


def test_a_git_remote_that_is_gone_is_an_error_and_not_one_without_files(repo: Path, git: Git, track: Track) -> None:
    git("remote", "add", "origin", "ssh://nobody@127.0.0.1:9/nothing")
    subprocess.run([sys.executable, "-c", TRAIN], cwd=repo, check=True)
    done = track("store", "status", code=79)
    assert "origin" in done.stderr and "nowhere" not in done.stdout and "this clone      3" in done.stdout
    assert track("store", "verify", code=79).stdout == ""


def test_without_any_other_place_verify_says_so(repo: Path, track: Track) -> None:
    assert "no git remote to share files through" in track("store", "verify", code=79).stderr
    assert [*rows(track)] == ["this clone"]


def test_a_file_that_nobody_has_pushed_is_said_to_be_so(shared: Path, git: Git, track: Track, tmp_path: Path) -> None:
    other = clone(git, shared, tmp_path)
    pulled = track("store", "pull", cwd=other, code=80).stderr
    assert "nobody has pushed it: run `git track store push`" in pulled and "Fetching" not in pulled
    read = track("cat", "latest:m.pt", cwd=other, code=80).stderr
    assert "nobody has pushed it" in read and f"on {os.uname().nodename})" in read
    track("checkout", "latest", "--artifacts", "-o", str(tmp_path / "out"), cwd=other, code=80)
    track("rm", "latest", "--artifacts", cwd=other)
    assert "was let go of on" in track("cat", "latest:m.pt", cwd=other, code=80).stderr
