"""A process joins the run it was started under while that is open, and no other."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from journal_reading import RUN_ID, events, values

from gittrack.recorder.journal import Journal

JOIN = "from gittrack.recorder.join import join; run = join({'a': 1}); print(run and run.id)"


def test_a_process_joins_the_run_of_its_environment(under: Any, run_dir: Path) -> None:
    assert under(JOIN, path=()).stdout == RUN_ID + "\n"
    assert values(run_dir, "code") == {"a": 1} and events(run_dir, "end") == []


def test_a_second_init_is_the_same_run(under: Any, run_dir: Path) -> None:
    under(
        """
import gittrack
one = gittrack.init({"a": 1}); two = gittrack.init({"b": 2}, name="x", tags=["t"])
assert one is two is gittrack.current_run()
one.finish()
three = gittrack.init()
assert three is not one and three.id == one.id
three.log({"loss": 1})
""",
        path=(),
    )
    assert values(run_dir, "code") == {"a": 1, "b": 2} and len(events(run_dir, "m")) == 1
    (said,) = events(run_dir, "describe")
    assert (said["name"], said["tags"], "experiment" in said) == ("x", ["t"], False)


def ended(run_dir: Path) -> None:
    with open(run_dir / "run.jsonl", "a") as file:
        file.write('{"e":"end","code":0,"reason":null,"signal":null,"status":"completed","t":1,"w":1}\n')


def cut(run_dir: Path) -> None:
    (run_dir / "cuts.jsonl").write_text('{"files":{},"n":0,"reason":"final","status":null,"w":1.0}\n')


def closing(run_dir: Path) -> None:
    (run_dir / "closing").touch()


@pytest.mark.parametrize("close", [ended, cut, closing])
def test_a_run_that_is_over_is_not_joined_and_this_is_said(under: Any, run_dir: Path, close: Any) -> None:
    close(run_dir)
    done = under(JOIN, path=())
    assert done.stdout == "None\n" and RUN_ID[:7] in done.stderr
    assert len(list(run_dir.glob("*.jsonl"))) == 1 + (close is cut)


def test_a_run_without_living_processes_is_not_joined(tmp_path: Path, under: Any) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    journal = Journal(str(dead), "run.jsonl")
    journal.event("start", run={}, goals={})
    journal.close()
    assert under(JOIN, path=(), GITTRACK_RUN_DIR=str(dead)).stdout == "None\n"


def test_a_run_whose_starter_died_is_joined_while_another_process_lives(tmp_path: Path, under: Any) -> None:
    folder = tmp_path / "orphan"
    folder.mkdir()
    starter = Journal(str(folder), "run.jsonl")
    starter.event("start", run={}, goals={})
    starter.close()
    training = Journal(str(folder))
    training.metrics({"a": 1}, 1)
    assert under(JOIN, path=(), GITTRACK_RUN_DIR=str(folder)).stdout == RUN_ID + "\n"
    training.close()


def test_a_shell_that_outlives_its_run_starts_afresh(run_dir: Path, tmp_path: Path) -> None:
    env = {**os.environ, "GITTRACK_RUN_ID": RUN_ID, "GITTRACK_RUN_DIR": str(tmp_path / "gone")}
    done = subprocess.run([sys.executable, "-c", JOIN], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n" and "not joined" in done.stderr


def test_init_says_no_to_wrong_use() -> None:
    import gittrack

    for wrong in ({"params": 3}, {"name": 3}, {"tags": "baseline"}, {"tags": [1]}, {"experiment": 1}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            gittrack.init(**wrong)  # type: ignore[arg-type]


def test_importing_gittrack_loads_no_heavy_module() -> None:
    code = "import sys; before = set(sys.modules); import gittrack; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"json", "typing", "threading", "re", "dataclasses", "pathlib", "enum", "pygit2"} & set(loaded.split())


def test_runs_is_a_function_whatever_is_imported() -> None:
    import gittrack
    import gittrack.runs
    import gittrack.runs.live as live

    assert callable(gittrack.runs) and live.root


def test_joining_loads_no_heavy_module(under: Any) -> None:
    code = "import sys; before = set(sys.modules); import gittrack; gittrack.init({'a': 1}).log({'b': 2})\n"
    loaded = set(under(code + "print(*(set(sys.modules) - before))", path=()).stdout.split())
    assert not {"json", "typing", "threading", "re", "dataclasses", "pathlib", "enum", "pygit2"} & loaded
