"""A few rounds of the kills that `make bench` does by the hundred, and what else of benchmarks/ must not rot."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks/ is no part of the installed package

from benchmarks import kills, large, population, report
from benchmarks.__main__ import PAGES, TOPICS
from benchmarks.harness import DIFFERENCE, LIMIT, Line, Spread, in_turns, process
from benchmarks.rows import checkpoints
from benchmarks.rows.ls import listing, populated
from benchmarks.scene import opened, program


@pytest.mark.parametrize("seed", range(2))
def test_after_a_kill_at_a_random_point_nothing_acknowledged_is_missing(seed: int) -> None:
    with opened() as scene:
        for done in kills.rounds(scene, 4, seed):
            assert done.faults == []


def test_a_made_population_is_sound_and_listed() -> None:
    with opened() as scene:
        repo = populated(scene, 40)
        assert listing(scene, repo, 30) > 0
        assert b"error" not in scene.git(repo, "fsck", "--strict")
        assert len(scene.git(repo, "for-each-ref", "refs/track/runs").splitlines()) == 40


def test_many_archived_runs_are_made_sound_and_listed() -> None:
    with opened() as scene:
        repo = str(Path(scene.root, "large"))
        large.build(repo, scene.env, 60, 2)
        assert listing(scene, repo, 60, "--all") > 0
        assert b"error" not in scene.git(repo, "fsck", "--strict")
        assert len(scene.git(repo, "for-each-ref", "refs/track/runs").splitlines()) == 2 * large.LOOSE
        doctor = process(["git", "track", "doctor"], repo, scene.env).output.decode()
        assert "all in order" in doctor


def test_the_same_seed_makes_the_same_journals() -> None:
    first, again = (list(population.journals(3, "a" * 40, 7)) for _ in range(2))
    assert first == again


def test_works_are_called_in_turns_after_a_first_round_that_does_not_count() -> None:
    calls: list[str] = []
    floor, ours = in_turns(2, lambda: calls.append("a") or len(calls), lambda: calls.append("b") or len(calls))
    assert "".join(calls) == "ababab"
    assert (floor.values, ours.values) == ((3, 5), (4, 6))


@pytest.mark.parametrize(
    ("kind", "floor", "ours", "target", "reached"),
    [
        ("ratio", 10.0, 14.0, 1.5, True),
        ("ratio", 10.0, 16.0, 1.5, False),
        (DIFFERENCE, 10.0, 24.0, 15.0, True),
        (LIMIT, None, 201.0, 200.0, False),
    ],
)
def test_a_line_knows_whether_it_is_reached(
    kind: str, floor: float | None, ours: float, target: float, reached: bool
) -> None:
    spread = None if floor is None else Spread((floor,))
    assert Line("x", "work", "floor", spread, Spread((ours,)), "ms", target, kind).reached is reached


def test_the_page_keeps_misses_and_what_failed() -> None:
    line = Line("ls/30", "listing", "the floor", Spread((1.0,)), Spread((9.0,)), "ms", 1.5)
    page = report.page(report.MAIN, [line], {"fold": "Failed: it did"}, "a machine", "1 May 2027", 600.0)
    assert "**missed**" in page
    assert "**listing**" in page
    assert "**fold** could not be measured: Failed: it did" in page


def test_every_reason_belongs_to_a_topic() -> None:
    with open(report.REASONS) as file:
        assert {key.partition("/")[0] for key in json.load(file)} <= set(TOPICS)


def test_checkpoints_with_files_are_folded_as_those_of_a_training_are() -> None:
    with opened() as scene:
        repo = scene.repository("checkpoints")
        journal = checkpoints._journal(scene, 40, files=True)
        took = json.loads(process(program("fold_run.py", journal, "10"), repo, scene.env).output)["took"]
        ref = scene.git(repo, "for-each-ref", "--format=%(refname)", "refs/track/runs").decode().strip()
        assert len(took) == 10
        assert len(scene.git(repo, "log", "--format=%h", "--grep=checkpoint at", ref).splitlines()) == 40
        assert json.loads(scene.git(repo, "show", f"{ref}:summary.json"))["artifacts"]["count"] == 40


def test_every_topic_can_be_loaded() -> None:
    for target in TOPICS.values():
        module, _, function = target.partition(":")
        __import__(module)
        assert callable(getattr(sys.modules[module], function))


def test_every_topic_is_on_one_page() -> None:
    assert sorted(topic for topics in PAGES.values() for topic in topics) == sorted(TOPICS)
    floor, ours = Spread((1.0,)), Spread((2.0,))
    line = Line("hosts/start", "a start", "`ssh`", floor, ours, "s", 1.0)
    text = report.page(report.OF_HOSTS, [line], {}, "a machine", "1 May 2027", 60.0)
    assert text.startswith("# Benchmarks of jobs at hosts") and "| a start | `ssh` |" in text and "## Peers" not in text
    assert "--page benchmarks-hosts.md" in text
