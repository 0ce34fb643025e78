"""The connection breaks, anywhere: `attach` goes on from what was reached, and nothing runs twice."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig_docker import Engine
from rig_ssh import Site
from survival import CONSOLE, World, world

PLACES = int(os.environ.get("GITTRACK_TEST_CUTS", "6"))  # at which the line breaks, from the first byte to the last


@pytest.fixture
def survived(repo: Path, sealed: Path, site: Site, dockerd: Engine, python_image: str) -> Iterator[World]:
    with world(repo, sealed, site, dockerd, python_image) as made:
        made.go()
        yield made


def test_a_line_that_breaks_anywhere_costs_an_attach_and_nothing_else(survived: World) -> None:
    for _ in range(2):  # the first one sends more: the program, the history
        before = survived.line.moved
        assert survived.track("run", "-H", "gpu1", "python3", "train.py").out == CONSOLE
        whole = survived.line.moved - before
    seen = set(survived.jobs())
    known = {row["id"] for row in survived.rows()}
    for place in range(PLACES):
        before = len(survived.starts())
        survived.line.break_after(max(300, whole * place // PLACES))  # the first one: while keys are exchanged
        broken = survived.track("run", "-H", "gpu1", "python3", "train.py", code=None)
        survived.line.mend()
        new = {row["id"] for row in survived.rows()} - known
        if not new:  # it broke before there was a run
            assert broken.code in (86, 88) and len(survived.starts()) == before
            assert set(survived.jobs()) == seen
            continue
        (run_id,) = new
        assert broken.code in (0, 88), broken
        if broken.code:
            assert f"git track attach {run_id[:7]}" in broken.err
            assert survived.track("attach", run_id).out == CONSOLE
        assert len(survived.starts()) == before + 1
        survived.check_whole(run_id)
        known |= new
        seen |= new
    assert survived.refs(survived.second()) == survived.refs()
