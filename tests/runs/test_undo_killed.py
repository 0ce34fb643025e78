"""Killed at any point, an undo of files is finished by the next one, and can itself be taken back."""

import signal
import subprocess
import sys
from pathlib import Path

import builder
import pytest

from gittrack import errors
from gittrack.runs import operations, placing
from gittrack.runs.annotations import Author
from gittrack.runs.undo import undo

ME = Author("Ann <ann@example.org>", builder.T0, "git track undo")
FILES = [f"d/{number}" for number in range(6)]
OLD, NEW = dict.fromkeys(FILES[1:], "old"), dict.fromkeys(FILES, "new")
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import builder
from gittrack.runs import placing
from gittrack.runs.annotations import Author
from gittrack.runs.undo import undo
left = int(sys.argv[3])
def counted(name):
    work = getattr(placing.Target, name)
    def call(*args, **more):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return work(*args, **more)
    setattr(placing.Target, name, call)
counted("put")
counted("remove")
undo(builder.opened(Path(sys.argv[1])), Author("Ann <ann@example.org>", builder.T0, "git track undo"))
"""


@pytest.fixture
def out(store, tmp_path):
    """A folder of old files that a checkout has overwritten with new ones."""
    out = tmp_path / "out"
    (out / "d").mkdir(parents=True)
    for path, text in OLD.items():
        (out / path).write_text(text)
    with placing.replacing(store.paths, str(out), "git track checkout", "Ann") as target:
        for path, text in NEW.items():
            made = Path(target.staging, "made")
            made.write_text(text)
            target.put(str(made), path, replace=True)
    return out


def killed(repo, after):
    argv = [sys.executable, "-c", KILLED, str(repo), str(Path(builder.__file__).parent), str(after)]
    assert subprocess.run(argv).returncode == -signal.SIGKILL


def found(out):
    return {path: (out / path).read_text() for path in FILES if (out / path).exists()}


@pytest.mark.parametrize("after", range(6))
def test_a_killed_undo_is_finished_by_the_next_one(store, repo, out, after):
    killed(repo, after)
    assert set(found(out).values()) <= {"old", "new"}
    undo(store, ME)
    assert found(out) == OLD
    undo(store, ME)
    assert found(out) == NEW, "all of it was taken back, what the killed one had done included"
    undo(store, ME)
    assert found(out) == OLD


def test_killed_again_and_again_it_comes_to_its_end(store, repo, out):
    for _ in range(4):
        killed(repo, 1)
    assert sorted(found(out).values()) == ["new"] * 2 + ["old"] * 4
    undo(store, ME)
    assert found(out) == OLD
    undo(store, ME)
    assert found(out) == NEW


def test_what_somebody_has_changed_after_the_kill_is_left_to_him(store, repo, out):
    killed(repo, 3)
    (out / FILES[5]).write_text("mine")
    (out / FILES[1]).write_text("mine, too")
    with pytest.raises(errors.WouldOverwrite) as caught:
        undo(store, ME)
    assert FILES[5] in caught.value.message and FILES[1] in caught.value.message
    assert found(out)[FILES[5]] == "mine"


def test_an_operation_that_was_killed_before_it_did_anything_stands_in_nobodys_way(store, out):
    operations.begin(store.paths, "git track checkout", builder.T0)
    undo(store, ME)
    assert found(out) == OLD


def test_what_was_killed_is_listed_as_interrupted(store, repo, out):
    killed(repo, 2)
    assert [one.outcome for one in operations.log(store)] == ["done", "interrupted"]


def test_a_checkout_that_failed_before_it_did_anything_is_no_operation_to_undo(store, out, tmp_path):
    with (
        pytest.raises(errors.MissingContent),
        placing.replacing(store.paths, str(out), "git track checkout", "Ann"),
    ):
        raise errors.MissingContent("nowhere", "look")
    assert [one.outcome for one in operations.log(store)] == ["done", "failed"]
    undo(store, ME)
    assert found(out) == OLD


def test_one_that_failed_half_way_can_be_undone(store, out):
    with (
        pytest.raises(errors.MissingContent),
        placing.replacing(store.paths, str(out), "git track checkout", "Ann") as target,
    ):
        made = Path(target.staging, "made")
        made.write_text("newer")
        target.put(str(made), FILES[0], replace=True)
        raise errors.MissingContent("nowhere", "look")
    assert found(out)[FILES[0]] == "newer"
    undo(store, ME)
    assert found(out) == NEW
