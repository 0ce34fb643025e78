"""`gittrack.runs()` in a script or a notebook."""

import subprocess
import sys

import builder
import pytest

import gittrack
from gittrack.compare import api
from gittrack.errors import BadExpression, NotARepository, RunNotFound, UsageError


@pytest.fixture
def store(repo, monkeypatch):
    monkeypatch.chdir(repo)
    opened = builder.opened(repo)
    yield opened
    opened.close()


@pytest.fixture
def ids(store):
    """Three runs, the oldest first."""
    losses = [[0.9, 0.4, 0.6], [0.5, 0.2], [0.7, float("nan")]]
    return builder.write_runs(
        store, [builder.journal(n, {"lr": n / 10}, values, checkpoints=n == 0) for n, values in enumerate(losses)]
    )


def test_runs_are_a_sequence_newest_first(ids):
    runs = gittrack.runs()
    assert len(runs) == 3
    assert [run.id for run in runs] == ids[::-1]
    assert runs[0].id == runs[-3].id == ids[2]
    assert [run.id for run in runs[1:]] == ids[1::-1]
    assert isinstance(runs[:2], api.Runs)
    assert runs[0] in runs
    assert runs[:0].to_pandas().empty
    with pytest.raises(IndexError):
        runs[3]


def test_nothing_is_read_before_it_is_looked_at(ids):
    runs = gittrack.runs(where="params.nonsense > 1")
    with pytest.raises(BadExpression):
        len(runs)


def test_where_sort_and_repo(ids, repo, monkeypatch):
    monkeypatch.chdir("/")
    runs = api.runs("lr > 0.05", repo=str(repo), sort="lr")
    assert [run.params for run in runs] == [{"lr": 0.1}, {"lr": 0.2}]
    with pytest.raises(NotARepository):
        gittrack.runs()


def test_the_best_run_is_that_of_the_best_value_ever_and_never_nan(ids):
    assert gittrack.runs().best("loss").id == ids[1]
    assert gittrack.runs().best().id == ids[1]
    assert gittrack.runs().latest().id == ids[2]


def test_best_without_a_goal_says_how_to_give_one(ids, repo):
    with pytest.raises(UsageError) as caught:
        gittrack.runs().best("val/acc")
    assert "goals: {val/acc: minimize}" in caught.value.hint
    (repo / "gittrack.yaml").write_text("goals: {val/acc: maximize}\n")
    assert gittrack.runs().best("val/acc").id == ids[1]
    with pytest.raises(RunNotFound):
        gittrack.runs("lr > 5").latest()


def test_a_series_is_indexed_by_step(ids):
    run = gittrack.runs()[2]
    series = run.metrics("loss")
    assert series.index.name == "step"
    assert series.to_dict() == {0: 0.9, 1: 0.4, 2: 0.6}
    assert gittrack.runs()[0].metrics("loss").isna().tolist() == [False, True]
    with pytest.raises(RunNotFound) as caught:
        run.metrics("los")
    assert "loss" in caught.value.hint


def test_all_metrics_are_one_table(ids):
    frame = gittrack.runs()[1].metrics()
    assert list(frame.columns) == ["loss", "val/acc"]
    assert frame.loc[1, "loss"] == 0.2


def test_to_pandas_has_one_row_per_run(ids):
    frame = gittrack.runs().to_pandas()
    assert frame.index.tolist() == ids[::-1]
    assert frame["params.lr"].tolist() == [0.2, 0.1, 0.0]
    assert frame["metrics.loss.best"].tolist() == [0.7, 0.2, 0.4]
    assert str(frame["created"].dtype) == "datetime64[us, UTC]"


def test_what_one_run_knows(ids):
    run = gittrack.runs()[2]
    assert (run.status, run.name, run.tags, run.snapshot) == ("completed", None, (), None)
    assert run.summary["loss"]["best"] == 0.4
    assert [point.step for point in run.checkpoints] == [0, 1, 2]
    assert run.record.params["lr"] == {"source": "code", "value": 0.0}
    assert run.console() == ""
    assert [change.name for change in run.diff(gittrack.runs()[0]).params] == ["lr"]


def test_runs_show_themselves(ids):
    runs = gittrack.runs()
    assert repr(runs).splitlines()[0].split() == ["id", "age", "state", "duration", "lr", "loss.best", "loss"]
    assert repr(runs[2]) == f"<run {ids[0][:7]}: completed, loss 0.6>"
    assert "<table>" in runs._repr_html_()
    assert "<table>" in runs[0]._repr_html_()
    assert repr(runs[:0]) == "no runs"


def test_html_is_escaped(store):
    builder.write_runs(store, [builder.journal(1, {"<b>": "<script>"}, [1], name="<i>"), builder.journal(2, {}, [1])])
    runs = gittrack.runs()
    for html in (runs._repr_html_(), runs[1]._repr_html_()):
        assert "<script>" not in html
        assert "<i>" not in html
        assert "&lt;script&gt;" in html


def test_pandas_is_loaded_only_for_its_objects(ids, repo):
    code = (
        "import sys, gittrack; runs = gittrack.runs(); len(runs), repr(runs), runs.best('loss');"
        "assert 'pandas' not in sys.modules; runs.to_pandas(); assert 'pandas' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repo, check=True)


def test_a_metric_that_is_logged_and_checkpointed_at_a_step_is_there_once(repo, track):
    script = "import gittrack; run = gittrack.init()\nfor i in range(3):\n run.log({'loss': i}, step=i)\n"
    (repo / "twice.py").write_text(script + " run.checkpoint(step=i, metrics={'loss': i})\n")
    track("run", "-q", sys.executable, "twice.py")
    assert gittrack.runs(repo=str(repo))[0].metrics("loss").to_dict() == {0: 0, 1: 1, 2: 2}


def test_a_metric_that_no_run_has_is_said_to_be_so(ids):
    with pytest.raises(RunNotFound, match="no run has a metric 'los'") as caught:
        gittrack.runs().best("los")
    assert "loss" in caught.value.hint
