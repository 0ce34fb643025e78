"""However much somebody has put at a remote that git refuses: what is sound comes, and a pull comes to its end."""

import os
import subprocess
import sys
from pathlib import Path

import builder
import git_servers
import hostile
import pytest
import team

from gittrack.core import layout
from gittrack.git.command import Git
from gittrack.git.discover import discover
from gittrack.share import bringing

MALLORY = "f" * 16
BAD = 220
PATIENT = """
from gittrack.cli import main
from gittrack.share import bringing
bringing.PATIENCE = 1e9
main.main()
"""


@pytest.fixture
def served(server_of: git_servers.Find) -> git_servers.Bare:
    return server_of("file").new()


@pytest.fixture
def ann(served: git_servers.Bare, repo: Path) -> team.Clone:
    clone = team.first(served.url, repo)
    clone.runs(range(1000, 1008))
    clone.track("push", "--yes")
    return clone


def spoiled(bare: hostile.Bare, count: int) -> dict[str, str]:
    """Refs of runs whose trees hold `..`."""
    tree = bare.record(hostile.files(0), {"..": (0o100644, bare.blob(b"x"))})
    found = {layout.run_ref(builder.run_id(n)): bare.commit(tree, message=f"bad {n}") for n in range(count)}
    for ref, tip in found.items():
        bare.ref(ref, tip)
    return found


def test_hundreds_of_bad_refs_keep_no_good_run_away(served: git_servers.Bare, ann: team.Clone, tmp_path: Path) -> None:
    bad = spoiled(hostile.Bare(served.path), BAD)
    bob = team.cloned(served.url, tmp_path / "bob")
    argv = [sys.executable, "-c", PATIENT, "pull"]  # however slow this machine is
    said = subprocess.run(argv, cwd=bob.path, capture_output=True, text=True, check=True).stderr
    assert bob.ids() == ann.ids()
    assert said.count("refused: refs/track/runs") == 10 and f"{len(bad) - 10:,} more" in said
    assert bob.track("pull").stdout == "nothing new\n"
    assert not bob.git("for-each-ref", *bad)
    bob.sound()


def test_what_is_not_told_apart_in_time_is_left_for_the_next_time(
    served: git_servers.Bare, ann: team.Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = spoiled(hostile.Bare(served.path), 6)
    bob = team.cloned(served.url, tmp_path / "bob")
    git = Git(discover(str(bob.path), os.environ), os.environ)
    wants = {**bad, **ann.refs("refs/track/runs/")}
    times = iter([0.0, *[1.0] * 5])
    monkeypatch.setattr(bringing.time, "monotonic", lambda: next(times, 1000.0))
    first = bringing.bring(git, "origin", wants)
    assert first.left and not first.gone
    assert set(first.refused) < set(bad)
    monkeypatch.undo()
    again = bringing.bring(git, "origin", {ref: wants[ref] for ref in first.left})
    assert again == (({ref: again.refused[ref] for ref in set(bad) - set(first.refused)}), set(), set())
    assert not list(Path(git.paths.common_dir, "track", "tmp").glob("desk-*"))


@pytest.mark.parametrize("what", ["log", "list"])
def test_a_series_of_many_large_segments_is_refused(
    what: str, served: git_servers.Bare, ann: team.Clone, tmp_path: Path
) -> None:
    bare, where = hostile.Bare(served.path), {"log": "ops", "list": "index"}[what]
    blob, form = bare.blob(b" " * (15 << 20)), bare.blob(b"gittrack 1\n")
    inner = bare.tree({f"{number:02d}.jsonl": (0o100644, blob) for number in range(32)})
    outer = bare.tree({f"{number:03d}": (0o040000, inner) for number in range(5)})
    rows = {"format": (0o100644, form), where: (0o040000, outer)}
    ref = layout.log_ref(MALLORY) if what == "log" else layout.archive_ref(MALLORY, 0, "list")
    bare.ref(ref, bare.commit(bare.tree(rows)))
    bob = team.cloned(served.url, tmp_path / "bob")
    assert f"refused: {ref}: its {where} has 2,516,582,400 bytes" in bob.track("pull").stderr
    assert bob.ids() == ann.ids()
