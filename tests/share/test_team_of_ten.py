"""Ten clones of one repository that push and pull at the same moment, each with a clock of its own."""

from pathlib import Path

import clocks
import git_servers
import team

CLOCKS = ("-3h", "+2d", "+0", "-1y", "+5m", "-7s", "+30d", "-1d", "+90s", "+0")


def at_once(clones: list[team.Clone], *args: str) -> list[str]:
    """One command in every clone at the same moment; what was said where it failed."""
    started = [clone.start(*args) for clone in clones]
    ended = [(process.communicate(timeout=300)[0], process.returncode) for process in started]
    return [said for said, code in ended if code]


def settled(clones: list[team.Clone], *args: str) -> None:
    """The same until it succeeds everywhere, as the hint says to those that were in each other's way."""
    for _ in clones:
        failed = at_once(clones, *args)
        if not failed:
            return
        assert all("again" in said for said in failed), failed
    raise AssertionError(failed)


def test_ten_clones_that_push_and_pull_at_once_end_with_one_table(
    server_of: git_servers.Find, repo: Path, tmp_path: Path, clock: clocks.Clock
) -> None:
    bare = server_of("file").new()
    clones = [team.first(bare.url, repo)]
    for number, shift in enumerate(CLOCKS[1:], 1):
        clones.append(team.cloned(bare.url, tmp_path / f"clone-{number}", **clock(shift)))
    own = {run for number, clone in enumerate(clones) for run in clone.runs(range(3 * number, 3 * number + 3))}
    (shared,) = {run for clone in clones for run in clone.runs([1000], writer="f" * 16)}
    settled(clones, "push", "--yes", "--all")  # all of them send the shared one
    settled(clones, "pull")
    assert {row["id"] for row in team.same(clones)} == {*own, shared}

    for number, clone in enumerate(clones):  # the same run, by all of them, while none sees the others
        clone.track("tag", shared, f"tag-{number}")
        clone.track("rename", shared, f"name-{number}")
    settled(clones, "push", "--yes")
    settled(clones, "pull")
    row = next(row for row in team.same(clones) if row["id"] == shared)
    assert sorted(row["tags"]) == [f"tag-{number}" for number in range(len(clones))]
    clones[3].track("rename", shared, "last word")  # whose clock says that it is long before the others'
    clones[3].track("push", "--yes")
    settled(clones, "pull")
    assert next(row["name"] for row in team.same(clones) if row["id"] == shared) == "last word"
    for clone in clones:
        clone.sound()
    team.sound(bare.path)
