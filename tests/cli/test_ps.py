"""The line of `git track ps` for a run: its step and its metrics."""

import json

from gittrack.cli import ps
from gittrack.runs.row import Row


def test_the_step_is_that_of_the_trainings_metrics_not_of_the_machines():
    metrics = {
        "loss": {"last": 0.5, "last_step": 7},
        "acc": {"last": 1, "last_step": 5},
        "system/cpu": {"last_step": 90},
    }
    assert ps.step(Row("a" * 20, metrics=metrics)) == 7
    assert ps.step(Row("a" * 20)) is None


def test_the_primary_metric_comes_first():
    metrics = {name: {"last": 0.25, "last_step": 1} for name in ("a", "b", "c", "loss", "system/cpu")}
    assert ps.metrics(Row("a" * 20, metrics=metrics, primary=("loss", "minimize"))) == "loss 0.25, a 0.25, b 0.25"
    assert ps.metrics(Row("a" * 20)) == "-"


def test_nothing_going_on_is_no_error(call):
    assert call("ps") == ""
    assert json.loads(call("ps", "--json")) == []
    assert call("ps", "-q") == ""
