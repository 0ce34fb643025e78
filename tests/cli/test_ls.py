"""`git track ls` as people and scripts use it."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import builder
import pytest


@pytest.fixture
def sweep(store):
    """Forty runs; returns their ids, the newest first."""
    return builder.make_runs(store, 40)[::-1]


def test_the_newest_thirty_are_listed_newest_first_and_the_rest_is_counted(sweep, call):
    lines = call("ls").splitlines()
    assert lines[0].split() == ["id", "name", "age", "state", "duration", "batch", "lr", "seed", "loss.best", "loss"]
    assert [line.split()[0] for line in lines[1:]] == [run_id[:7] for run_id in sweep[:30]]
    assert "10 more" in call.err


def test_parameters_that_do_not_differ_are_not_shown(sweep, call):
    assert "optimizer" not in call("ls")
    assert "optimizer" in call("ls", "--columns", "+optimizer").splitlines()[0]


def test_all_shows_all_and_n_as_many_as_asked(sweep, call):
    assert len(call("ls", "--all").splitlines()) == 41
    assert len(call("ls", "-n", "3").splitlines()) == 4
    assert call("ls", "-n", "0") == ""


def test_quiet_prints_every_whole_id(sweep, call):
    assert call("ls", "-q").split() == sweep
    assert call("ls", "-q", "-n", "2").split() == sweep[:2]


def test_where_and_sort(sweep, call):
    found = call("ls", "-q", "--where", "batch = 16 and loss < 0.2", "--where", "seed > 5", "--sort", "loss-desc,seed")
    rows = [json.loads(line.rstrip(",")) for line in call("ls", "--json").splitlines()[1:-1]]
    expected = [row for row in rows if row["params"]["batch"] == 16 and row["params"]["seed"] > 5]
    expected = [row for row in expected if row["metrics"]["loss"]["last"] < 0.2]
    expected.sort(key=lambda row: (-row["metrics"]["loss"]["last"], row["params"]["seed"]))
    assert found.split() == [row["id"] for row in expected]
    assert found


def test_sort_by_what_the_index_can_sort_by(sweep, call):
    assert call("ls", "-q", "--sort", "created").split() == sweep[::-1]
    assert call("ls", "-q", "--sort", "created-asc").split() == sweep[::-1]
    assert call("ls", "-q", "--sort", "id").split() == sorted(sweep)
    assert call("ls", "-q", "--sort", "age").split() == sweep


def test_a_mistyped_name_is_answered_with_the_nearest(sweep, call):
    call("ls", "--where", "params.lrr > 1", code=76)
    assert "did you mean `params.lr`?" in call.err
    assert "\n  params.lrr > 1\n  ^\n" in call.err
    call("ls", "--sort", "los", code=76)
    assert "did you mean `loss`?" in call.err
    call("ls", "--columns", "id,nmae", code=76)
    assert "did you mean `name`?" in call.err


def test_a_name_that_only_runs_beyond_the_list_have_is_known(store, call):
    builder.write_runs(store, [builder.journal(number, {"old": 1} if number == 0 else {}, [1]) for number in range(40)])
    assert call("ls", "-n", "2", "--columns", "id,old").splitlines()[1].endswith("-")


def test_chosen_columns_come_in_their_order(sweep, call):
    lines = call("ls", "-n", "1", "--columns", "loss.min,id,metrics.val/acc.max,user").splitlines()
    assert re.split(" {2,}", lines[0].strip()) == ["loss.min", "id", "val/acc.max", "user"]


def test_the_names_of_all_columns_are_listed(sweep, call):
    names = call("ls", "--columns", "help").split()
    assert {"id", "created", "params.lr", "metrics.loss", "metrics.loss.best"} <= set(names)


def test_csv_reads_back(sweep, call):
    rows = list(csv.DictReader(io.StringIO(call("ls", "--csv"))))
    assert [row["id"] for row in rows] == sweep
    assert float(rows[0]["params.lr"]) == 0.1 / (1 + 39 % 7)
    rows = list(csv.reader(io.StringIO(call("ls", "--csv", "--columns", "id,lr"))))
    assert rows[0] == ["id", "lr"]


def test_json_of_no_runs_is_an_empty_list(call):
    assert json.loads(call("ls", "--json")) == []


def test_no_runs_yet_says_how_to_make_one(call):
    assert call("ls") == ""
    assert "git track run" in call.err
    assert call("ls", "--where", "lr > 1") == ""
    assert "no run answers" in call.err


def test_an_output_form_is_chosen_once(call):
    call("ls", "--json", "--csv", code=2)


def test_deleted_runs_are_left_out_unless_asked_for(sweep, call):
    call("rm", sweep[0])
    assert sweep[0] not in call("ls", "-q")
    assert "deleted" in call("ls", "--deleted")


def test_a_terminal_gets_colours_and_no_line_is_too_wide(sweep, terminal):
    shown = terminal("ls", columns=60)
    assert "\033[" in shown
    plain = re.sub(r"\033\[[0-9;]*m", "", shown)
    table = [line for line in plain.splitlines() if "no room" not in line and "more:" not in line]
    assert max(map(len, table)) <= 60
    assert "no room for" in plain
    assert "\033[" not in terminal("ls", NO_COLOR="1")


def test_a_parameter_that_few_runs_have_goes_first(store, terminal):
    journals = [builder.journal(n, {"lr": n, **({"aaa": "x"} if n == 1 else {})}, [n]) for n in range(1, 5)]
    builder.write_runs(store, journals)
    assert "no room for aaa;" in terminal("ls", columns=56)


def test_what_a_run_is_called_cannot_drive_the_terminal(store, call):
    builder.write_runs(store, [builder.journal(1, {"p": "\x1b[2J"}, [1]), builder.journal(2, {"p": "a\nb"}, [1])])
    out = call("ls")
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3


def test_an_output_that_is_not_utf8_is_no_error(store, track):
    builder.write_runs(store, [builder.journal(1, {"p": "ü"}, [1]), builder.journal(2, {"p": "学"}, [1])])
    assert "\\xfc" in track("ls", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0").stdout


def test_a_plain_listing_loads_nothing_heavy(sweep, repo):
    code = (
        "import sys; from gittrack.cli import frame; frame.call(['ls']);"
        "heavy = {'pandas', 'rich', 'pygit2', 'numpy', 'gittrack.core.query', 'gittrack.core.codec', 'csv', 'plotext'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    for place in [repo / ".git", *(repo / ".git").glob("**/*")]:  # refs that moved just now are always looked at again
        os.utime(place, (1e9, 1e9))
    subprocess.run(["git-track", "ls"], cwd=repo, check=True, capture_output=True)  # brings the index up to date
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
