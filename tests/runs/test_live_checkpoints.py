"""RUN@latest and RUN@best of a run that is going on are those of now, not of its last commit."""

import contextlib

import keeping
import pytest

from gittrack import errors
from gittrack.runs import folding, selectors


def step(fresh, text):
    return selectors.resolve(fresh(), text, 2000.0).step


@pytest.mark.parametrize("committed", [False, True])
def test_best_and_latest_are_those_of_now(store, fresh, committed):
    run = keeping.Run(store.paths)
    with pytest.raises(errors.RunNotFound, match="no latest checkpoint"):
        step(fresh, "latest@latest")
    run.write(keeping.point(1), keeping.checkpoint(1))
    if committed:
        with contextlib.closing(folding.Folder.open(store, run.directory)) as folder:
            folder.advance(1000.5)
    assert step(fresh, "latest@latest") == step(fresh, "latest@best") == 1
    better = keeping.checkpoint(2)
    run.write(better, {**keeping.checkpoint(3), "m": {"loss": 0.9}}, {"e": "checkpoint", "m": 5, "s": "x"})
    assert (step(fresh, "latest@latest"), step(fresh, "latest@best")) == (3, 2)
    run.write(keeping.end())
    folding.fold_dead(store, 2000.0)
    assert (step(fresh, "latest@latest"), step(fresh, "latest@best")) == (3, 2)
