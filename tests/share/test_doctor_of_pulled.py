"""What doctor says of runs that came from others."""

from pathlib import Path

import git_servers
import team


def test_code_that_a_branch_has_is_in_no_danger(server_of: git_servers.Find, repo: Path, tmp_path: Path) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    head = ann.git("rev-parse", "HEAD")
    ann.runs([1], base=head, snapshot=head)
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    said = bob.track("doctor").stdout
    assert "all in order" in said
    bob.git("update-ref", "-d", "refs/heads/main")
    for ref in bob.refs("refs/remotes"):
        bob.git("update-ref", "-d", "--no-deref", ref)
    assert "a gc may take it" in bob.track("doctor", code=None).stdout
