"""`git track compare` from end to end: selection, moments, baselines, groups, forms, charts."""

import csv
import io
import json
import re

import builder
import pytest


def rows(text):
    """Label -> cells of a table's lines."""
    split = [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]
    return {cells[0]: cells[1:] for cells in split}


@pytest.fixture
def made(store):
    """Three runs, the oldest first; the second gets worse after its best."""
    losses = [[0.9, 0.5, 0.4], [0.8, 0.2, 0.6], [0.7, 0.6, 0.5, 0.3]]
    journals = [
        builder.journal(n, {"lr": 0.1 * (n + 1), "epochs": 5}, values, checkpoints=True, name=f"run-{'abc'[n]}")
        for n, values in enumerate(losses)
    ]
    return builder.write_runs(store, journals)


def test_one_column_per_run_of_what_differs(made, call):
    found = rows(call("compare", "run-a", "run-b", "run-c"))
    assert found[made[0][:7]] == [made[1][:7], made[2][:7]]
    assert found["lr"] == ["0.1", "0.2", "0.3"]
    assert found["loss ↓"] == ["0.4", "0.6", "0.3 *"]
    assert "epochs" not in found
    assert "epochs" in rows(call("compare", "run-a", "run-b", "--all"))


def test_json_is_a_format_with_a_name_of_its_own(made, call):
    assert call("compare", "run-a", "run-b", "--json") == call("compare", "run-a", "run-b", "--format", "json")


def test_one_row_per_run_when_transposed(made, call):
    found = rows(call("compare", "run-a", "run-b", "--transpose"))
    assert found[made[1][:7]][0] == "run-b"


def test_the_best_moment_is_one_step_for_all_metrics(made, call):
    found = rows(call("compare", "run-a", "run-b", "--at", "best"))
    assert found["loss ↓"] == ["0.4", "0.2 *"]
    assert found["val/acc"] == ["0.6", "0.8"]


def test_a_run_without_a_best_moment_does_not_hide_the_others(made, call, store):
    builder.write_runs(store, [builder.journal(9, {"lr": 9}, [], status="failed", name="died")])
    assert rows(call("compare", "run-a", "died", "--at", "best"))["loss ↓"] == ["0.4", "-"]
    call("compare", "died", "--at", "best", code=2)
    assert "goals" in call.err


def test_at_a_step_a_run_that_did_not_get_there_has_no_value(made, call):
    found = rows(call("compare", "run-a", "run-c", "--at", "step=3"))
    assert found["loss ↓"] == ["-", "0.3"]
    assert rows(call("compare", "run-a", "run-c", "--at", "step=1"))["loss ↓"] == ["0.5 *", "0.6"]
    call("compare", "run-a", "--at", "yesterday", code=2)


def test_differences_from_the_run_named_or_marked_as_baseline(made, call):
    found = rows(call("compare", "run-b", "--against", "run-a"))
    assert found["loss ↓"] == ["0.4 *", "0.6 (+0.2)"]
    assert f"{made[0][:7]} (baseline)" in found
    call("baseline", "run-c")
    assert "(+0.3)" in " ".join(rows(call("compare", "run-b"))["loss ↓"])


def test_a_metric_without_a_goal_is_not_marked_and_that_is_said(made, call):
    call("compare", "run-a", "run-b")
    assert call.err.count("no best is marked for val/acc") == 1
    assert "goals: {val/acc: minimize}" in call.err


def test_goals_of_the_settings_serve_where_runs_say_none(made, call, repo):
    (repo / "gittrack.yaml").write_text("goals: {val/acc: maximize}\n")
    assert rows(call("compare", "run-a", "run-b"))["val/acc ↑"] == ["0.6 *", "0.4"]
    assert "no best" not in call.err


@pytest.fixture
def seeds(store):
    """Two learning rates, three seeds each; returns ids, lr 0.1 first."""
    journals = [
        builder.journal(n, {"lr": lr, "seed": seed}, [lr + seed / 100], experiment="iris")
        for n, (lr, seed) in enumerate((lr, seed) for lr in (0.1, 0.9) for seed in (1, 2, 3))
    ]
    return builder.write_runs(store, journals)


def test_seeds_are_averaged_and_tested_against_the_baseline(seeds, call):
    found = rows(call("compare", "--where", "experiment = iris", "--seeds", "--against", seeds[0]))
    assert found["lr"] == ["runs", "loss ↓", "p loss", "val/acc", "p val/acc"]
    assert found["0.1 (baseline)"][:3] == ["3", "0.12 ± 0.01 *", "-"]
    assert found["0.9"][:3] == ["3", "0.92 ± 0.01", "<0.001"]
    assert "different code" not in call.err


def test_runs_that_differ_in_their_seeds_alone_are_one_group(seeds, call):
    for against in ([], ["--against", seeds[0]]):
        found = rows(call("compare", *seeds[:3], "--seeds", *against))
        assert found["all"][:2] == ["3", "0.12 ± 0.01"]
    for form in ("markdown", "html", "latex", "csv", "json"):
        assert "0.12" in call("compare", *seeds[:3], "--seeds", "-f", form)


def test_seeds_over_different_code_are_told(store, call):
    journals = [builder.journal(n, {"seed": n}, [n / 100], snapshot=str(n) * 40) for n in (1, 2)]
    builder.write_runs(store, journals)
    call("compare", "--seeds")
    assert "a group holds runs of different code" in call.err


def test_groups_by_several_keys(seeds, call):
    text = call("compare", "--group-by", "params.lr,seed", "--transpose")
    assert len(rows(text)["runs"]) == 6
    assert "no p-values" in call.err
    call("compare", "--group-by", "lrr", code=76)
    call("compare", "--group-by", "lr", "--seeds", code=2)


def test_groups_for_machines(seeds, call):
    found = json.loads(call("compare", "-g", "lr", "--against", seeds[0], "--format", "json"))
    assert found["baseline"] == {"lr": 0.1}
    assert found["groups"][1]["metrics"]["loss"]["p"] < 1e-6
    lines = list(csv.DictReader(io.StringIO(call("compare", "-g", "lr", "--format", "csv"))))
    assert [line["loss.n"] for line in lines] == ["3", "3"]


def test_every_form_can_be_written_and_the_ending_says_which(made, call, repo):
    signs = {"md": "| --- |", "html": "<table", "tex": "\\toprule", "csv": "metrics.loss", "json": "{", "txt": "loss ↓"}
    for ending, sign in signs.items():
        name = f"t.{ending}"
        assert call("compare", "run-a", "run-b", "-o", str(repo / name)) == ""
        assert sign in (repo / name).read_text()
    call("compare", "run-a", "--format", "yaml", code=2)
    call("compare", "run-a", "-o", str(repo / "no" / "where.md"), code=73)
    call("compare", "run-a", "-o", str(repo / "t.xlsx"), code=2)
    assert ".csv" in call.err and not (repo / "t.xlsx").exists()
    call("compare", "run-a", "-f", "csv", "-o", str(repo / "t.dat"))


def test_json_has_the_values_whole(made, call):
    found = json.loads(call("compare", "run-a", "run-c", "--format", "json"))
    assert found["runs"][1]["params"]["lr"] == 0.1 * 3
    assert found["best"] == {"loss": [made[2]]}


def test_without_a_word_the_newest_runs_are_compared_and_that_is_said(store, call):
    builder.make_runs(store, 12)
    found = rows(call("compare"))
    assert len(found["lr"]) == 10
    assert "newest 10 of 12" in call.err


def test_wrong_calls_say_what_to_write(made, call):
    call("compare", "run-a", "--where", "lr > 0", code=2)
    call("compare", "run-a@1", code=2)
    assert "--at step=N" in call.err
    call("compare", "run-a", "run-b", "--seeds", code=2)
    assert "--group-by" in call.err


def test_no_runs_is_no_error(call):
    assert call("compare") == ""
    assert "git track run" in call.err


def test_a_narrow_terminal_gets_blocks_of_columns(store, terminal):
    builder.make_runs(store, 10)
    plain = re.sub(r"\033\[[0-9;]*m", "", terminal("compare", columns=50)).splitlines()
    assert max(len(line) for line in plain if not line.startswith(("note:", "the newest"))) <= 50
    assert len([line for line in plain if line.startswith("  lr")]) > 1


def test_a_chart_of_the_series(made, call):
    out = call("compare", "run-a", "run-c", "--plot", "loss")
    assert f"a {made[0][:7]} run-a" in out
    assert "step" in out
    call("compare", "run-a", "--plot", "los", code=66)
    assert "loss" in call.err


def test_a_live_run_is_compared_as_it_stands(store, call):
    builder.write_runs(
        store, [builder.journal(1, {"lr": 1}, [0.5], status=None), builder.journal(2, {"lr": 2}, [0.25])]
    )
    assert rows(call("compare"))["loss ↓"] == ["0.25 *", "0.5"]


@pytest.mark.parametrize(
    ("argv", "key"), [((), "runs"), (("-g", "params.lr"), "groups"), (("-w", "status = failed"), "runs")]
)
def test_a_comparison_of_nothing_is_still_json(argv, key, call):
    assert json.loads(call("compare", *argv, "--format", "json"))[key] == []
