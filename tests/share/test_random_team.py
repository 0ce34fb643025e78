"""A team that does anything in any order: records, annotates, archives, shares, is killed, and deletes refs by force.

Whatever was done, pushing and pulling all of it makes the clones show one table in which nothing is missing. Other
SEEDS are other orders.
"""

import contextlib
import random
import subprocess
from pathlib import Path

import git_servers
import pytest
import team

SEEDS = (3, 31)
STEPS = 24
DEEDS = (
    "record", "record", "record many", "tag", "rename", "rm", "restore", "archive", "unarchive", "push", "push",
    "push --all", "pull", "pull", "kill", "gc", "wipe",
)  # fmt: skip


class Team:
    def __init__(self, clones: list[team.Clone], chance: random.Random) -> None:
        self.clones, self.chance = clones, chance
        self.recorded: set[str] = set()

    def step(self) -> None:
        clone, deed = self.chance.choice(self.clones), self.chance.choice(DEEDS)
        if deed.startswith("record"):
            first = len(self.recorded)
            self.recorded |= set(clone.runs(range(first, first + (30 if "many" in deed else 1))))
        elif deed.startswith("push"):
            clone.track("push", "--yes", *deed.split()[1:])
        elif deed == "pull":
            clone.track("pull")
        elif deed == "kill":
            self._kill(clone)
        elif deed == "gc":
            clone.git("gc", "-q", "--prune=now")
        elif deed == "wipe":
            there = clone.git("ls-remote", "origin", "refs/track/*").splitlines()
            refs = [line.split("\t")[1] for line in there if self.chance.random() < 0.5]
            if refs:
                clone.git("push", "-q", "origin", *(f":{ref}" for ref in refs))
        else:
            self._annotate(clone, deed)

    def _annotate(self, clone: team.Clone, deed: str) -> None:
        rows = [row for row in clone.table() if row["deleted"] == (deed == "restore")]
        some = [row["id"] for row in self.chance.sample(rows, min(len(rows), self.chance.choice((1, 3, 20))))]
        if some and deed in ("tag", "rename"):
            clone.track(deed, some[0], f"{deed}-{self.chance.randrange(9)}", code=None)  # a name may be taken
        elif some:
            clone.track(deed, *some, *(["--yes"] if deed == "archive" else []), code=None)  # may be there already

    def _kill(self, clone: team.Clone) -> None:
        started = clone.start(*self.chance.choice((("push", "--yes"), ("pull",))))
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(self.chance.random())
        team.kill(started)

    def settle(self) -> None:
        for clone in self.clones:
            deleted = [row["id"] for row in clone.table() if row["deleted"]]
            if deleted:
                clone.track("restore", *deleted)  # deleted runs are not pushed
        for _ in range(2):
            for clone in self.clones:
                clone.track("push", "--yes", "--all")
                clone.track("pull")
        for clone in self.clones:
            clone.track("pull")


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_a_team_did_pushing_and_pulling_makes_one_table_of_all_runs(
    seed: int, server_of: git_servers.Find, repo: Path, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    bare = server_of("file").new(**({"receive__advertiseAtomic": "false"} if seed % 2 else {}))
    clones = [team.first(bare.url, repo), *(team.cloned(bare.url, tmp_path / name) for name in ("bob", "carl"))]
    some = Team(clones, chance)
    for _ in range(STEPS):
        some.step()
    some.settle()
    tables = [[{**row, "archived": None} for row in clone.table()] for clone in clones]  # that is said of each clone
    assert {row["id"] for row in tables[0]} == some.recorded
    assert tables[1:] == [tables[0], tables[0]]
    for place in (*(clone.path for clone in clones), bare.path):
        team.sound(place)
