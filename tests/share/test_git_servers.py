"""The servers do what the tests of sharing take them to do: asked here by plain git."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cutting
import git_servers
import pytest
from common import wait_until

Git = Callable[..., str]


@pytest.mark.parametrize("kind", ["file", "ssh", "http"])
def test_a_server_takes_hidden_refs_and_gives_them_back(
    kind: str, server_of: git_servers.Find, git: Git, tmp_path: Path
) -> None:
    bare = server_of(kind).new()
    git("push", "-q", bare.url, "HEAD:refs/track/log/0123456789abcdef", "HEAD:refs/heads/main")
    assert "refs/track/log/0123456789abcdef" in git("ls-remote", bare.url)
    git("clone", "-q", bare.url, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "train.py").exists()


def test_the_server_speaks_the_second_protocol_where_the_client_asks_for_it(
    server_of: git_servers.Find, git: Git
) -> None:
    server = server_of("http")
    old = server.at(server.prefix.replace("/open/", "/old/"))
    traces = [_trace(git, at.new().url) for at in (server, old, server_of("ssh"))]
    assert ["version 2" in trace for trace in traces] == [True, False, True]


def _trace(git: Git, url: str) -> str:
    env = {**os.environ, "GIT_TRACE_PACKET": "1"}
    return subprocess.run(["git", "ls-remote", url], env=env, capture_output=True, text=True, check=True).stderr


def test_a_private_place_asks_for_a_password(server_of: git_servers.Find, git: Git) -> None:
    server = server_of("http")
    bare = server.at(server.prefix.replace("/open/", "/private/")).new()
    assert "could not read Username" in refused(["git", "ls-remote", bare.url])
    git("ls-remote", bare.url.replace("//", f"//ann:{git_servers.PASSWORD}@"))


def test_a_small_place_takes_no_large_request(server_of: git_servers.Find, git: Git, repo: Path) -> None:
    server = server_of("http")
    bare = server.at(server.prefix.replace("/open/", "/small/")).new()
    (repo / "large").write_bytes(os.urandom(100_000))
    git("add", "large")
    git("commit", "-q", "-m", "Large")
    assert "413" in refused(["git", "-C", str(repo), "push", bare.url, "HEAD:refs/heads/main"])


def test_gitolite_lets_refs_grow_and_not_be_rewritten_or_deleted(server_of: git_servers.Find, git: Git) -> None:
    url = server_of("gitolite").prefix + "project"
    git("push", "-q", url, "HEAD:refs/track/runs/00/a")
    first = git("rev-parse", "HEAD")
    git("commit", "-q", "--allow-empty", "-m", "Second")
    git("push", "-q", url, "HEAD:refs/track/runs/00/a")
    git("push", url, f"+{first}:refs/track/runs/00/a", code=1)
    assert git("ls-remote", url, "refs/track/runs/00/a").split()[0] == git("rev-parse", "HEAD")
    git("push", url, ":refs/track/runs/00/a", code=1)


def test_policies_refuse_what_they_say(server_of: git_servers.Find, git: Git) -> None:
    here = server_of("file")
    plain, few, often = here.new(), here.new(), here.new()
    git_servers.branches_only(plain.path)
    git_servers.refs_a_push(few.path, 2)
    counter = git_servers.pushes_a_minute(often.path, 1)
    git("push", "-q", plain.url, "HEAD:refs/heads/main", "HEAD:refs/track/log/a", code=1)
    assert git("ls-remote", plain.url, "refs/*").endswith("refs/heads/main")
    git("push", "-q", few.url, *(f"HEAD:refs/heads/{name}" for name in "abc"), code=1)
    git("push", "-q", few.url, *(f"HEAD:refs/heads/{name}" for name in "ab"))
    git("push", "-q", often.url, "HEAD:refs/heads/a")
    git("push", "-q", often.url, "HEAD:refs/heads/b", code=1)
    counter.unlink()
    git("push", "-q", often.url, "HEAD:refs/heads/b")


@pytest.mark.parametrize("kind", ["ssh", "http"])
def test_a_line_can_be_cut_in_either_direction(kind: str, server_of: git_servers.Find, git: Git, repo: Path) -> None:
    server = server_of(kind)
    bare = server.new()
    (repo / "large").write_bytes(os.urandom(300_000))
    git("add", "large")
    git("commit", "-q", "-m", "Large")
    with cutting.between(server.port) as line:
        url = bare.url.replace(f":{server.port}/", f":{line.port}/")
        line.up = 100_000
        refused(["git", "-C", str(repo), "push", url, "HEAD:refs/heads/main"])
        assert git("ls-remote", bare.url) == ""
        line.up = None
        git("push", "-q", url, "HEAD:refs/heads/main")
        line.down = 100_000
        refused(["git", "clone", url, str(repo / "copy")])
        line.down = None
        git("clone", "-q", url, str(repo / "copy"))


def refused(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode, done
    return done.stderr


def test_nothing_of_a_server_outlives_tests_that_were_killed(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path[:] = {sys.path!r}
import pathlib, git_servers
with git_servers.http(pathlib.Path({str(tmp_path)!r})) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
    tests = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert tests.stdout is not None and tests.stdout.readline().strip().isdigit()
    assert any("fcgiwrap" in one for one in about(tmp_path)) and any("nginx" in one for one in about(tmp_path))
    tests.kill()
    tests.communicate()
    wait_until(lambda: not about(tmp_path))


def about(folder: Path) -> list[str]:
    """The processes whose command lines name this folder, but for those of the tests themselves."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = place.read_bytes().decode(errors="replace").split("\0")
            if any(str(folder) in word for word in words) and "git_servers" not in " ".join(words):
                found.append(" ".join(words)[:200])
    return found
