"""`store: lfs`: git-lfs pointers in the records of runs, for plain git users and forges, and what a prune may do."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lfs_servers
import pytest
from common import wait_until

from gittrack.config import settings as configuration
from gittrack.git.command import config
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.runs import artifacts, choosing, embedded, reader, stores

Git = Callable[..., str]
MODEL = random.Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()
TRAINING = """
import random
import gittrack

run = gittrack.init()
with open("model.pt", "wb") as file:
    file.write(random.Random(7).randbytes(3_000_000))
run.checkpoint(step=1, metrics={"loss": 0.5}, path="model.pt")
run.finish()
"""
# What forges do: a push is refused when a pointer in it names an object that the server does not have.
HOOK = """#!/usr/bin/env python3
import os, re, subprocess, sys

def git(*args):
    return subprocess.run(["git", *args], capture_output=True, check=True).stdout
for line in sys.stdin:
    old, new, ref = line.split()
    for row in git("rev-list", "--objects", new, "--not", "--all").splitlines():
        oid = row.split()[0].decode()
        if git("cat-file", "-t", oid) == b"blob\\n" and int(git("cat-file", "-s", oid)) < 1024:
            found = re.match(rb"version https://git-lfs.*\\noid sha256:([0-9a-f]{64})\\n", git("cat-file", "-p", oid))
            if found:
                name = found[1].decode()
                places = ["@OBJECTS@/" + name, f"lfs/objects/{name[:2]}/{name[2:4]}/{name}"]
                if not any(map(os.path.exists, places)):
                    sys.exit(f"GH008: unknown git-lfs object {name}")
"""


@pytest.fixture
def run_ref(repo: Path, git: Git) -> str:
    """The ref of a run with a checkpoint of 3 MB, recorded with `store: lfs`."""
    (repo / "gittrack.yaml").write_text("store: lfs\n")
    (repo / ".gitignore").write_text("*.pt\n")
    git("add", ".")
    git("commit", "-q", "-m", "Settings", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    subprocess.run([sys.executable, "-c", TRAINING], cwd=repo, check=True)
    (repo / "model.pt").unlink()
    return git("for-each-ref", "--format=%(refname)", "refs/track/runs")


@contextlib.contextmanager
def reading(repo: Path) -> Iterator[tuple[Repository, configuration.Settings]]:
    repository = open_repository(discover(str(repo), os.environ), os.environ)
    yield repository, configuration.load(repository.paths, os.environ, config(repository.git))
    repository.close()


def upload(repo: Path) -> None:
    with reading(repo) as (repository, settings):
        files = stores.needed(repository)
        assert [file.sha256 for file in files] == [SHA256]
        embedded.upload(repository, settings.store, files, "origin")


def read(repo: Path, ref: str) -> bytes:
    """The checkpoint's file, from wherever it is."""
    with reading(repo) as (repository, settings):
        record = reader.read(repository, ref.rpartition("/")[2])
        (file,) = choosing.of_step(repository, record, "latest")
        return artifacts.source(repository, record, stores.contents(repository, settings)).read(file)


def refuse_dangling(bare: Path, objects: object = "/nonexistent") -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.write_text(HOOK.replace("@OBJECTS@", str(objects)))
    hook.chmod(0o755)


def test_a_clone_with_plain_git_lfs_gets_the_bytes(
    repo: Path, git: Git, bare: Path, run_ref: str, tmp_path: Path
) -> None:
    git("remote", "add", "origin", f"file://{bare}")
    upload(repo)
    git("push", "-q", "origin", "main", run_ref)
    other = tmp_path / "other"
    git("clone", "-q", f"file://{bare}", str(other), cwd=tmp_path)
    git("fetch", "-q", "origin", f"{run_ref}:{run_ref}", cwd=other)

    git("lfs", "fetch", "origin", run_ref, cwd=other)
    pointer = git("show", f"{run_ref}:files/000/00/00/model.pt", cwd=other) + "\n"
    smudged = subprocess.run(
        ["git", "lfs", "smudge"], cwd=other, input=pointer.encode(), capture_output=True, check=True
    )

    assert smudged.stdout == MODEL
    assert git("lfs", "ls-files", "-l", run_ref, cwd=other).split()[0] == SHA256
    shutil.rmtree(bare)  # what git-lfs has fetched is read from there
    assert read(other, run_ref) == MODEL


@pytest.mark.parametrize("kind", ["file", "ssh"])
def test_a_forge_refuses_the_run_before_its_bytes_are_there_and_takes_it_afterwards(
    kind: str, repo: Path, git: Git, bare: Path, run_ref: str, request: pytest.FixtureRequest
) -> None:
    if kind == "ssh":
        server: lfs_servers.Lfs = request.getfixturevalue("lfs_server")
        (server.objects / SHA256).unlink(missing_ok=True)
        git("remote", "add", "origin", request.getfixturevalue("lfs_ssh").url(bare))
        refuse_dangling(bare, server.objects)
    else:
        git("remote", "add", "origin", f"file://{bare}")
        refuse_dangling(bare)
    push = ["git", "push", "--no-verify", "origin", "main", run_ref]
    refused = subprocess.run(push, cwd=repo, capture_output=True, text=True, check=False)
    assert f"unknown git-lfs object {SHA256}" in refused.stderr
    assert git("for-each-ref", cwd=bare) == ""

    upload(repo)

    git("push", "-q", "--no-verify", "origin", "main", run_ref)
    assert run_ref in git("for-each-ref", cwd=bare)


def test_nothing_is_lost_to_the_prunes_of_git_lfs_and_git(repo: Path, git: Git, bare: Path, run_ref: str) -> None:
    git("remote", "add", "origin", f"file://{bare}")
    git("lfs", "install", "--local")
    old = git("commit-tree", f"{run_ref}^{{tree}}", "-m", "old", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    git("update-ref", "refs/track/runs/zz/old", old)
    git("lfs", "fetch", "origin", run_ref, code=2)  # it has never been pushed
    git("lfs", "prune", "--force")
    git("gc", "-q", "--prune=now")
    assert read(repo, run_ref) == MODEL


def test_the_command_brings_files_to_the_remote_and_back(
    repo: Path, git: Git, bare: Path, run_ref: str, track: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert "git remote add" in track("store", "push", code=79).stderr
    git("remote", "add", "origin", str(bare))
    assert "would copy 1 file" in track("store", "push", "--dry-run").stdout
    assert not (bare / "lfs").exists()
    assert "origin: copied 1 file, 3.0 MB" in track("store", "push").stdout
    assert "copied 0 files, 0 B, 1 were there" in track("store", "push").stdout
    shutil.rmtree(bare / "lfs")
    assert "origin: copied 1 file, 3.0 MB" in track("store", "push", "--again").stdout
    shutil.rmtree(repo / ".git" / "track" / "objects")
    assert "this clone: copied 1 file" in track("store", "pull").stdout
    shutil.rmtree(bare)
    assert read(repo, run_ref) == MODEL


def test_files_that_were_deleted_here_come_from_the_remote(repo: Path, git: Git, bare: Path, run_ref: str) -> None:
    git("remote", "add", "origin", f"file://{bare}")
    upload(repo)
    shutil.rmtree(repo / ".git" / "track" / "objects")
    assert read(repo, run_ref) == MODEL
    assert not (repo / ".git" / "lfs").exists()
    shutil.rmtree(bare)
    assert read(repo, run_ref) == MODEL, "it has not been kept"


def test_a_killed_push_leaves_nothing_and_is_taken_up_again(
    repo: Path, git: Git, bare: Path, run_ref: str, lfs_server: lfs_servers.Lfs
) -> None:
    git("remote", "add", "origin", str(bare))
    (lfs_server.objects / SHA256).unlink(missing_ok=True)
    script = "\n".join(
        (
            "import os",
            "from gittrack.git.discover import discover",
            "from gittrack.git.open import open_repository",
            "from gittrack.runs import embedded, stores",
            "repo = open_repository(discover('.', os.environ), os.environ)",
            "embedded.upload(repo, ('lfs',), stores.needed(repo), 'origin')",
        )
    )
    desks = repo / ".git" / "track" / "tmp"
    whole = f"desk-*/lfs/objects/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # so that it goes on until it is killed
        git("config", "lfs.url", f"http://127.0.0.1:{silent.getsockname()[1]}/org/repo.git/info/lfs")
        process = subprocess.Popen([sys.executable, "-c", script], cwd=repo, start_new_session=True)
        wait_until(lambda: list(desks.glob(whole)) or process.poll() is not None)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert list(desks.glob("desk-*"))
    assert not (repo / ".git" / "lfs").exists()

    git("config", "lfs.url", f"{lfs_server.url}/org/repo.git/info/lfs")
    upload(repo)

    assert not list(desks.glob("desk-*"))
    assert (lfs_server.objects / SHA256).read_bytes() == MODEL
