"""The commits of runs that a push archives, or a pull finds archived, are removed by a process nobody waits for."""

import time
from pathlib import Path

import git_servers
import team

from gittrack.git.discover import discover
from gittrack.runs import leftovers


def swept(clone: team.Clone, seconds: float = 60.0) -> None:
    paths, until = discover(str(clone.path), clone.env), time.monotonic() + seconds
    while leftovers.is_due(paths):
        assert time.monotonic() < until, "nobody removes what is left over"
        time.sleep(0.05)
    assert Path(paths.common_dir, "track", "archiver.lock").exists()  # somebody was at it


def test_push_and_pull_begin_to_remove_what_their_archiving_leaves_over(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    bob = team.cloned(bare.url, tmp_path / "bob")
    (ann.path / "gittrack.yaml").write_text("archive: false\n")
    ann.runs(range(250))
    ann.track("push", "--yes")
    bob.track("pull")
    (ann.path / "gittrack.yaml").unlink()
    ann.runs(range(250, 500))
    ann.track("push")
    assert not ann.refs("refs/track/runs/")
    swept(ann)
    bob.track("pull")
    assert not bob.refs("refs/track/runs/")
    swept(bob)
    ann.sound()
    bob.sound()
    assert team.same([ann, bob])
