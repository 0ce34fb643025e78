"""Pushes and pulls that end half-way: killed, line cut, server full. Nothing is lost, and the next one finishes."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import cutting
import git_servers
import pytest
import team

KILLS = 6


def test_killed_at_any_point_a_push_leaves_both_sides_whole_and_the_next_one_finishes(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    ann = team.first(bare.url, repo)
    took = timed(ann, 0, "push", "--yes")
    for point in range(1, KILLS + 1):
        recorded = ann.runs(range(40 * point, 40 * point + 30))  # enough to be archived on the way
        ann.track("tag", recorded[0], f"round-{point}")
        pushing = ann.start("push", "--yes")
        with pytest.raises(subprocess.TimeoutExpired):
            pushing.wait(took * point / KILLS)
            raise subprocess.TimeoutExpired("push", 0)  # it was through already
        team.kill(pushing)
        ann.sound()
        team.sound(bare.path)
        assert set(recorded) <= ann.ids()
    everything = told(ann.table())
    ann.track("push", "--yes")
    bob = team.cloned(bare.url, tmp_path / "bob")
    bob.track("pull")
    assert told(team.same([ann, bob])) == everything


def told(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A table without what says where the runs are."""
    return [{**row, "archived": None} for row in table]


def timed(clone: team.Clone, first: int, *args: str) -> float:
    """Seconds that such a push takes here and now."""
    clone.runs(range(first, first + 30))
    before = os.times().elapsed
    clone.track(*args)
    return os.times().elapsed - before


def test_killed_at_any_point_a_pull_leaves_the_clone_whole_and_the_next_one_finishes(
    server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    bare = server_of("file").new()
    ann, bob = team.first(bare.url, repo), team.cloned(bare.url, tmp_path / "bob")
    own = bob.runs(range(5000, 5003))
    took = 0.0
    for point in range(KILLS + 1):
        ann.runs(range(40 * point, 40 * point + 30))
        ann.track("push", "--yes")
        before = os.times().elapsed
        pulling = bob.start("pull")
        if point:
            with pytest.raises(subprocess.TimeoutExpired):
                pulling.wait(took * point / KILLS)
                raise subprocess.TimeoutExpired("pull", 0)
            team.kill(pulling)
        else:
            pulling.communicate()
            took = os.times().elapsed - before
        bob.sound()
        assert set(own) <= bob.ids()
    bob.track("pull")
    assert bob.ids() == ann.ids() | set(own)


@pytest.mark.parametrize("kind", ["ssh", "http"])
def test_a_line_that_breaks_is_said_and_the_next_push_and_pull_finish(
    kind: str, server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    server = server_of(kind)
    bare = server.new()
    with cutting.between(server.port) as line:
        url = bare.url.replace(f":{server.port}/", f":{line.port}/")
        ann = team.first(url, repo)
        bob = team.cloned(url, tmp_path / "bob")
        ann.runs(range(60), note=os.urandom(2000).hex())
        for line.up in (4_000, 12_000):
            said = ann.track("push", "--yes", code=84).stderr
            assert "again" in said
        line.up = None
        ann.track("push", "--yes")
        for line.down in (4_000, 12_000):
            said = bob.track("pull", code=84).stderr
            assert "again" in said
            bob.sound()
        line.down = None
        bob.track("pull")
        team.same([ann, bob])
    team.sound(bare.path)


def test_a_full_server_is_said_and_takes_the_runs_when_there_is_room(repo: Path, tmp_path: Path) -> None:
    ann = team.Clone(repo, {})
    ann.runs(range(30))
    bare, filler = tmp_path / "disk" / "bare.git", tmp_path / "disk" / "filler"
    bare.parent.mkdir()
    ann.git("remote", "add", "origin", str(bare))
    lines = [
        f"mount -t tmpfs -o size=2m small {shlex.quote(str(bare.parent))} || exit 99",
        f"git init -q --bare -b main {bare}; git push -q origin main",
        f"head -c 10000000 /dev/zero > {filler} 2>/dev/null; {team.TRACK} push --yes; echo first $?",
        f"git -C {bare} fsck --strict || exit 98",
        f"rm {filler}; {team.TRACK} push --yes; echo second $?",
        f"git clone -q {bare} {tmp_path / 'bob'} && cd {tmp_path / 'bob'} && {team.TRACK} pull; echo third $?",
    ]
    unshare = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    done = subprocess.run([*unshare, "sh", "-c", "\n".join(lines)], cwd=repo, capture_output=True, text=True)
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    codes = [line for line in done.stdout.splitlines() if line.startswith(("first", "second", "third"))]
    assert codes == ["first 84", "second 0", "third 0"], done
    assert "No space left" in done.stderr and "make room" in done.stderr, done.stderr
    ann.sound()
    assert len(ann.table()) == 30
    assert len(team.Clone(tmp_path / "bob", {}).table()) == 30
