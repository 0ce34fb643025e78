"""Runs that one of a team takes out of an archive, and another one has archived."""

from pathlib import Path

import git_servers
import team


def test_a_run_that_somebody_unarchived_keeps_its_ref_at_the_remote(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    bob = team.cloned(bare.url, tmp_path / "bob")
    run = ann.runs(range(3))[0]
    ann.track("push", "--yes")
    bob.track("pull")
    bob.track("archive", "--all")
    bob.track("push", "--yes", "--all")
    ann.track("pull", "--records")
    ann.track("unarchive", run)
    ann.track("push", "--yes")
    ref = f"refs/track/runs/{run[-2:]}/{run}"
    assert ref in ann.git("ls-remote", "origin", ref)
    bob.track("pull")
    assert "removed" not in bob.track("push", "--yes").stdout
    assert "deleted" not in ann.track("push", "--yes").stdout
    assert ref in ann.git("ls-remote", "origin", ref)
    assert ann.ids() == bob.ids()
