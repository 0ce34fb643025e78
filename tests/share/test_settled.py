"""The glance by which a pull sees that nothing is new: it is believed only while nothing moved that it depends on."""

import os
import time
from pathlib import Path

import git_servers
import pytest
import team

from gittrack.git.discover import discover
from gittrack.share import settled


@pytest.fixture
def served(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def bob(served: git_servers.Bare, repo: Path, tmp_path: Path) -> team.Clone:
    """A clone in which nothing is new, and that knows it."""
    ann = team.first(served.url, repo)
    ann.runs(range(2))
    ann.git("push", "-q", "origin", "refs/track/*:refs/track/*")
    clone = team.cloned(served.url, tmp_path / "bob")
    clone.track("pull")
    time.sleep(2.6)  # the coarsest grain of a file system's times
    clone.track("pull")
    return clone


def known(clone: team.Clone, word: str = "", **env: str) -> bool:
    environ = {**os.environ, **env}
    return settled.load(discover(str(clone.path), environ), environ, word) is not None


def test_it_is_known_of_the_remote_that_was_asked(bob: team.Clone) -> None:
    assert known(bob)
    assert known(bob, "origin")
    assert not known(bob, "elsewhere")


def test_other_settings_another_branch_or_other_refs_make_it_unknown(bob: team.Clone) -> None:
    assert not known(bob, GIT_CONFIG_COUNT="0")
    bob.git("switch", "-q", "-c", "other")
    assert not known(bob)
    bob.git("switch", "-q", "main")
    assert known(bob)
    ref, oid = next(iter(bob.refs("refs/track/runs").items()))
    bob.git("update-ref", "-d", ref)
    assert not known(bob)
    assert bob.track("pull").stdout == "pulled 1 new run from origin\n"
    assert bob.refs()[ref] == oid


def test_a_setting_that_changes_makes_it_unknown(bob: team.Clone) -> None:
    bob.git("config", "track.remote", "origin")
    assert not known(bob)


@pytest.mark.parametrize(
    "text", [b"", b"gittrack settled 1\n", b"gittrack settled 1\n1 2 x\n", b"gittrack settled 2\n"]
)
def test_a_damaged_note_is_as_none(text: bytes, bob: team.Clone) -> None:
    (bob.path / ".git" / "track" / "remotes" / "settled").write_bytes(text)
    assert not known(bob)
    assert bob.track("pull").stdout == "nothing new\n"


def test_a_remote_that_is_gone_is_said_as_ever(bob: team.Clone, served: git_servers.Bare, tmp_path: Path) -> None:
    served.path.rename(tmp_path / "gone.git")
    assert "origin" in bob.track("pull", code=84).stderr
