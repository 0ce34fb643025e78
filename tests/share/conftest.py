"""The servers that runs are shared through, each started once for a session of tests."""

import contextlib
from collections.abc import Iterator

import git_servers
import pytest


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, git_servers.Server]]:
    """Every kind that was asked for, as it was asked for."""
    kinds = {
        "file": git_servers.files, "ssh": git_servers.ssh, "http": git_servers.http, "gitolite": git_servers.gitolite
    }  # fmt: skip

    class Started(dict[str, git_servers.Server]):
        def __missing__(self, kind: str) -> git_servers.Server:
            self[kind] = stack.enter_context(kinds[kind](tmp_path_factory.mktemp(kind)))
            return self[kind]

    with contextlib.ExitStack() as stack:
        yield Started()


@pytest.fixture
def server_of(_servers: dict[str, git_servers.Server], monkeypatch: pytest.MonkeyPatch) -> git_servers.Find:
    """`server_of("ssh")` gives the server of that kind (file, ssh, http, gitolite), ready to be used by git."""

    def find(kind: str) -> git_servers.Server:
        server = _servers[kind]
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        return server

    return find
