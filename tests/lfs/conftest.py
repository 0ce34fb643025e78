"""A repository with a content store, and remotes of every kind for it."""

import hashlib
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import lfs_servers
import pytest

from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.git.repository import Repository
from gittrack.store.content import Content
from gittrack.store.local import open_local

File = tuple[str, int]


@pytest.fixture
def opened(repo: Path) -> Iterator[Repository]:
    """`repo`, opened."""
    repository = open_repository(discover(str(repo), os.environ), os.environ)
    yield repository
    repository.close()


@pytest.fixture
def content(repo: Path) -> Content:
    """The content store of `repo`."""
    return open_local(str(repo / ".git" / "track"))


@pytest.fixture
def keep(content: Content) -> Callable[..., File]:
    """`keep(size, seed)` puts random bytes into the content store: (sha256, size)."""

    def put(size: int, seed: int = 0) -> File:
        kept = content.put_bytes(random.Random(seed).randbytes(size))
        return kept.sha256, kept.size

    return put


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An empty bare repository to push to."""
    path = tmp_path / "server.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def lfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lfs_servers.Lfs]:
    """One git-lfs server for all tests: objects have names of their own."""
    with lfs_servers.giftless(tmp_path_factory.mktemp("giftless")) as server:
        yield server


@pytest.fixture(scope="session")
def _plain_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lfs_servers.Ssh]:
    with lfs_servers.sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def _lfs_sshd(tmp_path_factory: pytest.TempPathFactory, lfs_server: lfs_servers.Lfs) -> Iterator[lfs_servers.Ssh]:
    with lfs_servers.sshd(tmp_path_factory.mktemp("sshd-lfs"), lfs_server) as server:
        yield server


@pytest.fixture
def plain_ssh(_plain_sshd: lfs_servers.Ssh, monkeypatch: pytest.MonkeyPatch) -> lfs_servers.Ssh:
    """An sshd with git and without git-lfs."""
    monkeypatch.setenv("GIT_SSH_COMMAND", _plain_sshd.command)
    return _plain_sshd


@pytest.fixture
def lfs_ssh(_lfs_sshd: lfs_servers.Ssh, monkeypatch: pytest.MonkeyPatch) -> lfs_servers.Ssh:
    """An sshd with git and with git-lfs, as forges have it."""
    monkeypatch.setenv("GIT_SSH_COMMAND", _lfs_sshd.command)
    return _lfs_sshd


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
