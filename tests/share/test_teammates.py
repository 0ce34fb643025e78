"""What teammates do with plain git to a repository that holds runs: runs that somebody has survive it."""

import subprocess
from pathlib import Path

import git_servers
import pytest
import team


@pytest.fixture
def shared(server_of: git_servers.Find, repo: Path, tmp_path: Path) -> tuple[git_servers.Bare, team.Clone, team.Clone]:
    """A server, ann with 40 runs that are archived there and 5 that are not, and bob who has pulled and has 3 more."""
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    ann.runs(range(40))
    ann.track("push", "--yes")
    ann.runs(range(40, 45))
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    bob.runs(range(100, 103))
    return bare, ann, bob


def test_a_mirror_push_that_wipes_the_server_loses_no_run(
    shared: tuple[git_servers.Bare, team.Clone, team.Clone], tmp_path: Path
) -> None:
    bare, ann, bob = shared
    before = ann.table()
    carl = team.cloned(bare.url, tmp_path / "carl")
    carl.git("push", "-q", "--mirror", "origin")
    assert "refs/track" not in ann.git("ls-remote", "origin")
    for clone in (ann, bob):
        assert "push --all" in clone.track("pull").stderr
        assert "gone there" in clone.track("doctor", code=None).stdout
    assert ann.table() == before
    assert len(bob.table()) == 48
    for clone in (ann, bob, ann):
        clone.track("push", "--yes")
        clone.track("pull")
    carl.track("pull")
    assert len(team.same([ann, bob, carl])) == 48
    assert "gone there" not in ann.track("doctor", code=None).stdout
    for place in (ann.path, bob.path, carl.path, bare.path):
        team.sound(place)


def test_fetching_with_prune_takes_no_run_away(shared: tuple[git_servers.Bare, team.Clone, team.Clone]) -> None:
    _, ann, bob = shared
    before = bob.table()
    bob.git("config", "fetch.prune", "true")
    bob.git("fetch", "-q", "--prune", "origin")
    bob.git("remote", "prune", "origin")
    bob.git("fetch", "-q", "--prune", "--all", "--tags")
    assert bob.table() == before
    bob.git("config", "--add", "remote.origin.fetch", "+refs/*:refs/*")
    said = bob.track("doctor", code=None).stdout
    assert "refs/*:refs/*" in said  # this would take them: it is said before it happens
    bob.track("push", "--yes")
    bob.track("pull")
    ann.track("pull")
    assert len(team.same([ann, bob])) == 48


def test_refs_deleted_at_the_remote_by_force_come_back_from_who_has_the_runs(
    shared: tuple[git_servers.Bare, team.Clone, team.Clone], tmp_path: Path
) -> None:
    bare, ann, bob = shared
    for ref in [line.split("\t")[1] for line in ann.git("ls-remote", "origin", "refs/track/*").splitlines()]:
        bob.git("push", "-q", "origin", f":{ref}")
    for clone in (bob, ann, bob):
        clone.track("push", "--yes")
        clone.track("pull")
    carl = team.cloned(bare.url, tmp_path / "carl")
    carl.track("pull")
    assert len(team.same([ann, bob, carl])) == 48


def test_a_ref_set_back_by_force_goes_forward_again(
    shared: tuple[git_servers.Bare, team.Clone, team.Clone], tmp_path: Path
) -> None:
    bare, ann, bob = shared
    log = next(ref for ref in ann.refs("refs/track/log/")) if ann.refs("refs/track/log/") else None
    ann.track("tag", "latest", "one")
    ann.track("push", "--yes")
    log = log or next(iter(ann.refs("refs/track/log/")))
    early = ann.refs()[log]
    ann.track("tag", "latest", "two")
    ann.track("push", "--yes")
    bob.track("pull")
    bob.git("push", "-q", "--force", "origin", f"{early}:{log}")
    bob.track("pull")
    assert bob.table()[0] is not None and team.same([ann])[0]["tags"] == ["one", "two"]
    ann.track("push", "--yes")
    bob.track("push", "--yes")
    ann.track("pull")
    carl = team.cloned(bare.url, tmp_path / "carl")
    carl.track("pull")
    assert len(team.same([ann, bob, carl])) == 48


def test_a_rewritten_history_keeps_the_runs_and_their_code(
    shared: tuple[git_servers.Bare, team.Clone, team.Clone], tmp_path: Path
) -> None:
    bare, ann, bob = shared
    (ann.path / "train.py").write_text('print("new")\n')
    ann.track("run", "-q", "--name", "before", "--", "python", "train.py")
    ann.git("commit", "-qam", "New training")
    ann.track("run", "-q", "--name", "committed", "--", "python", "train.py")
    ann.track("push", "--yes")
    rewrite = ["git", "filter-branch", "-f", "--msg-filter", "sed s/commit/COMMIT/", "main"]
    subprocess.run(rewrite, cwd=ann.path, check=True, capture_output=True, env=None)
    ann.git("push", "-q", "--force", "origin", "main")
    ann.git("update-ref", "-d", "refs/original/refs/heads/main")
    for place in (ann.path, bare.path):
        subprocess.run(["git", "-C", str(place), "reflog", "expire", "--expire=now", "--all"], check=True)
        subprocess.run(["git", "-C", str(place), "gc", "-q", "--prune=now"], check=True)
    bob.track("pull")
    carl = team.cloned(bare.url, tmp_path / "carl")
    carl.track("pull")
    for clone in (ann, bob, carl):
        for name in ("before", "committed"):
            clone.track("checkout", name, "--code", "-o", f"code-{name}")
            assert (clone.path / f"code-{name}" / "train.py").read_text() == 'print("new")\n'
    assert len(carl.table()) == 47
    for place in (ann.path, bob.path, carl.path, bare.path):
        team.sound(place)
