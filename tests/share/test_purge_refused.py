"""Servers that let nobody take anything away: what a purge can do there, and what it says."""

from pathlib import Path

import git_servers
import pytest
import team

DELETION = '[ "$3" = 0000000000000000000000000000000000000000 ] && exit 1; exit 0'
REWRITING = """case "$2$3" in *0000000000000000000000000000000000000000*) exit 0;; esac
git merge-base --is-ancestor "$2" "$3" """


@pytest.mark.parametrize("rule", [DELETION, REWRITING], ids=["deletions", "rewriting"])
def test_what_the_server_keeps_is_named_and_the_tombstone_is_there_all_the_same(
    repo: Path, tmp_path: Path, server_of: git_servers.Find, rule: str
) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    kept = ann.runs([1])[0]
    loose, archived = ann.runs([900, 901])
    ann.track("archive", kept, archived)
    ann.track("push", "--yes")
    hook = bare.path / "hooks" / "update"
    hook.write_text(f"#!/bin/sh\n{rule}\n")
    hook.chmod(0o755)
    refused = loose if rule == DELETION else archived
    done = ann.track("purge", refused, "--yes", code=84)
    assert "is still there" in done.stdout
    assert "who runs the server" in done.stdout
    assert "lists it no more" not in done.stdout
    assert refused not in ann.ids()
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull", code=None)
    assert refused not in bob.ids()
    bob.sound()
    ann.sound()


def test_over_ssh_and_http_it_is_the_same(repo: Path, tmp_path: Path, server_of: git_servers.Find) -> None:
    bare = server_of("http").new()
    ann = team.first(bare.url, repo)
    kept, leaky = ann.runs([1, 900])
    ann.track("archive", "--all", "--yes")
    ann.track("push", "--yes")
    assert "on the server frees it" in ann.track("purge", leaky, "--yes").stdout
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull", "--records")
    assert bob.ids() == ann.ids() == {kept}
    bob.sound()
