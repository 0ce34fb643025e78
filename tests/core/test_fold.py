import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.core import codec, events, fold, segments, shape

ID = "0123456789abcdef0123"
START = {
    "e": "start",
    "run": {"id": ID, "command": "python train.py", "user": {"name": "Ann", "email": "ann@example.org"}},
    "goals": {},
    "t": 0.0,
    "w": 1000.0,
}


def journal(*lines):
    return b"".join(json.dumps(line).encode() + b"\n" if isinstance(line, dict) else line for line in lines)


def cut(number, files, reason="time", status=None, w=1060.0):
    return events.Cut(number, {name: len(data) for name, data in files.items()}, reason, status, w)


class Tree(dict):
    """The record tree that a fold builds, and how often each path was written."""

    def __init__(self, files, cuts, piece=None):
        super().__init__()
        self.commits = []
        self.puts = []
        state = fold.Fold()
        for one in cuts:
            self.commits.append(state.advance(one, lambda name, start, end: files[name][start:end][:piece], self.put))

    def put(self, path, data):
        self[path] = data
        self.puts.append(path)

    def json(self, path):
        return codec.loads(self[path])

    def joined(self, root):
        return b"".join(self[path] for path in sorted(self) if path.startswith(root + "/"))


def point(step, w=1001.0, **values):
    return {"m": values, "s": step, "t": w - 1000, "w": w}


def test_a_run_without_a_point_has_a_whole_record():
    files = {"run.jsonl": journal(START)}
    tree = Tree(files, [cut(0, files, "start")])
    assert sorted(tree) == ["format", "params.json", "run.json", "status.json", "summary.json"]
    assert tree.json("run.json") == START["run"]
    assert tree.json("status.json")["status"] == "running"
    assert tree.commits[0].message.startswith("start 0123456: python train.py\n")
    assert tree.commits[0].author == "Ann <ann@example.org>"


def test_min_max_last_and_best_leave_out_nan():
    lines = [point(0, loss=0.5), point(1, loss={"$": "nan"}), point(2, loss=0.25), point(3, loss=0.75)]
    files = {"run.jsonl": journal({**START, "goals": {"loss": "minimize"}}, *lines)}
    tree = Tree(files, [cut(0, files)])
    loss = tree.json("summary.json")["metrics"]["loss"]
    assert loss == {
        "best": 0.25, "best_step": 2, "count": 4, "last": 0.75, "last_step": 3,
        "max": 0.75, "max_step": 3, "min": 0.25, "min_step": 2,
    }  # fmt: skip


def test_a_metric_that_was_only_ever_nan_has_no_best_and_ends_as_nan():
    files = {"run.jsonl": journal({**START, "goals": {"loss": "minimize"}}, point(0, loss={"$": "nan"}))}
    loss = Tree(files, [cut(0, files)]).json("summary.json")["metrics"]["loss"]
    assert loss["best"] is None and loss["min"] is None and math.isnan(loss["last"])


def test_the_last_value_is_that_of_the_highest_step_and_of_a_repeated_step_the_later_one():
    files = {"run.jsonl": journal(START, point(5, a=1), point(5, a=2), point(3, a=9))}
    metric = Tree(files, [cut(0, files)]).json("summary.json")["metrics"]["a"]
    assert (metric["last"], metric["last_step"], metric["count"]) == (2, 5, 3)


def test_a_metric_may_be_called_as_the_mark_of_special_forms():
    line = {"m": {"$": "object", "items": [["$", 0.5], ["a", {"$": "nan"}]]}, "s": 1, "t": 1.0, "w": 1001.0}
    event = {"e": "checkpoint", "primary": None, **line}
    files = {"run.jsonl": journal(START, line, event)}
    tree = Tree(files, [cut(0, files, "checkpoint")])
    assert tree.json("summary.json")["metrics"]["$"]["last"] == 0.5
    assert tree.json("summary.json")["metrics"]["a"]["count"] == 1
    assert tree.commits[0].message.startswith("checkpoint at step 1: $ 0.5, a nan\n")


def test_points_of_other_ranks_are_kept_but_do_not_speak_for_the_run():
    other = "1700000000000-77-abcd.jsonl"
    lines = [{**point(0, loss=9.0), "r": 1}, {**point(0, only=1.0), "r": 1}]
    files = {"run.jsonl": journal(START, point(0, loss=1.0)), other: journal(*lines)}
    tree = Tree(files, [cut(0, files)])
    summary = tree.json("summary.json")
    assert summary["points"] == 3
    assert summary["metrics"]["loss"]["max"] == 1.0
    assert summary["metrics"]["only"]["last"] == 1.0
    assert tree.joined("metrics").count(b"\n") == 3


def test_checkpoints_name_the_best_by_the_primary_metric():
    def checkpoint(step, loss):
        primary = ["loss", "minimize"]
        return {"e": "checkpoint", "m": {"loss": loss}, "primary": primary, "s": step, "t": 1.0, "w": 1001.0}

    files = {"run.jsonl": journal(START, checkpoint(1, 0.5), checkpoint(2, 0.25), checkpoint(3, 0.75))}
    tree = Tree(files, [cut(0, files, "checkpoint")])
    assert tree.json("summary.json")["checkpoints"] == {
        "best": {"metric": "loss", "step": 2, "value": 0.25},
        "count": 3,
        "latest": {"metrics": {"loss": 0.75}, "step": 3},
    }
    assert tree.commits[0].message.startswith("checkpoint at step 3: loss 0.75\n")


def test_the_first_process_wins_a_parameter_unless_the_code_sets_it():
    first, second = "1700000000000-1-aaaa.jsonl", "1700000000001-2-bbbb.jsonl"

    def params(source, **values):
        return {"e": "params", "source": source, "values": values, "t": 0.1, "w": 1000.1}

    files = {
        "run.jsonl": journal(START, params("command", lr=0.1)),
        first: journal(params("argparse", lr=9, batch=32, depth=2)),
        second: journal(params("argparse", batch=64), params("code", depth=3)),
    }
    assert Tree(files, [cut(0, files)]).json("params.json") == {
        "batch": {"source": "argparse", "value": 32},
        "depth": {"source": "code", "value": 3},
        "lr": {"source": "command", "value": 0.1},
    }


def test_labels_of_the_code_complete_those_of_the_command_line():
    start = {**START, "run": {**START["run"], "name": "given", "tags": ["a"], "experiment": None}}
    labels = {"e": "describe", "name": "other", "tags": ["a", "b"], "experiment": "iris", "t": 0.1, "w": 1000.1}
    files = {"run.jsonl": journal(start), "1700000000000-1-aaaa.jsonl": journal(labels)}
    facts = Tree(files, [cut(0, files)]).json("run.json")
    assert (facts["name"], facts["tags"], facts["experiment"]) == ("given", ["a", "b"], "iris")


def test_the_experiment_that_the_code_names_replaces_the_default_of_the_project():
    start = {**START, "run": {**START["run"], "experiment": "project"}, "default": ["experiment"]}
    labels = {"e": "describe", "experiment": "code", "t": 0.1, "w": 1000.1}
    files = {"run.jsonl": journal(start), "1700000000000-1-aaaa.jsonl": journal(labels)}
    assert Tree(files, [cut(0, files)]).json("run.json")["experiment"] == "code"


def test_the_end_event_decides_the_state_and_its_clock_the_duration():
    end = {"e": "end", "code": 3, "reason": "exit code 3", "signal": None, "status": "failed", "t": 12.5, "w": 1012.0}
    files = {"run.jsonl": journal(START, end)}
    tree = Tree(files, [cut(0, files, "final", status="crashed")])
    status = tree.json("status.json")
    assert (status["status"], status["exit_code"], status["duration"]) == ("failed", 3, 12.5)
    assert tree.commits[0].message.startswith("failed (exit code 3) after 12.5 s\n")


def test_a_run_that_never_said_how_it_ended_ends_with_its_last_event():
    files = {"run.jsonl": journal(START, point(0, w=1030.0, a=1))}
    status = Tree(files, [cut(0, files, "final", status="crashed", w=9999.0)]).json("status.json")
    assert status["status"] == "crashed"
    assert codec.parse_time(status["ended"]) == 1030.0
    assert status["duration"] == 30.0


def test_damaged_lines_are_passed_over_and_sound_ones_kept():
    good = journal(point(1, a=1))
    files = {
        "run.jsonl": journal(START, point(0, a=0), b'{"m":{"a":0.\n', good, b'{"m":{"a":"x"},"s":2}\n', b"\x00\xff\n")
    }
    tree = Tree(files, [cut(0, files)])
    assert tree.json("summary.json")["metrics"]["a"]["count"] == 2
    assert tree.joined("metrics") == journal(point(0, a=0)) + good


@pytest.mark.parametrize(
    "line",
    [
        {"e": "params", "t": 1, "w": 1001},
        {"e": "params", "values": [1], "t": 1, "w": 1001},
        {"e": "warning", "t": 1, "w": 1001},
        {"e": "environment", "name": "..", "value": "x", "t": 1, "w": 1001},
        {"e": "environment", "name": ".git", "value": "x", "t": 1, "w": 1001},
        {"e": "environment", "name": "a\0b", "value": "x", "t": 1, "w": 1001},
        {"e": "environment", "name": "x.json", "t": 1, "w": 1001},
        {"e": "checkpoint", "m": {"a": "x"}, "s": 1, "t": 1, "w": 1001},
        {"e": "checkpoint", "m": {}, "s": "x", "t": 1, "w": 1001},
        {"e": "checkpoint", "m": {}, "primary": ["a", "best"], "s": 1, "t": 1, "w": 1001},
        {"e": "describe", "tags": [[]], "t": 1, "w": 1001},
        {"e": "describe", "continues": {"run": 3}, "t": 1, "w": 1001},
        {"e": "end", "status": ["completed"], "t": 1, "w": 1001},
        {"e": "end", "status": "completed", "w": 1001},
        {"e": "start", "run": "all of it", "t": 1, "w": 1001},
        {"e": "warning", "text": "the clock", "t": 1, "w": 1e300},
        {"e": "warning", "text": "the clock", "t": 1, "w": "noon"},
        {"m": {"b": "x"}, "s": 1, "t": 1, "w": 1001},
        {"m": {"b": 1}, "s": 1, "t": 1, "w": "noon"},
    ],
    ids=repr,
)
def test_a_line_that_lacks_what_its_kind_must_have_is_passed_over(line):
    sound = {"run.jsonl": journal(START, point(0, a=0))}
    files = {"run.jsonl": journal(line, START, point(0, a=0), line)}
    tree, same = (Tree(each, [cut(0, each, "final", "crashed")]) for each in (files, sound))
    assert tree == same
    assert tree.commits == same.commits


def test_numbers_beyond_all_measure_are_still_numbers():
    files = {"run.jsonl": journal(START, point(10**30, a=10**400, b=-(10**20)))}
    tree = Tree(files, [cut(0, files, "final", "crashed")])
    metrics = tree.json("summary.json")["metrics"]
    assert (metrics["a"]["max"], metrics["b"]["min"], metrics["a"]["last_step"]) == (math.inf, -1e20, 2**63 - 1)
    assert not shape.problem("summary.json", tree.json("summary.json"))
    assert str(10**400).encode() in tree.joined("metrics")


def test_the_first_environment_of_a_name_stays_and_text_stays_text():
    def environment(name, value):
        return {"e": "environment", "name": name, "value": value, "t": 0.1, "w": 1000.1}

    lines = [environment("python.json", {"v": 1}), environment("requirements.txt", "a==1\n")]
    files = {"run.jsonl": journal(START, *lines, environment("python.json", {"v": 2}))}
    tree = Tree(files, [cut(0, files)])
    assert tree["environment/python.json"] == b'{"v":1}\n'
    assert tree["environment/requirements.txt"] == b"a==1\n"


def test_unchanged_files_are_not_written_again_and_small_segments_are_joined():
    files = {"run.jsonl": journal(START, *(point(step, a=step) for step in range(10)))}
    size = len(journal(START))
    step_size = len(journal(point(0, a=0)))
    cuts = [
        events.Cut(number, {"run.jsonl": size + number * step_size}, "time", None, 1000.0 + number)
        for number in range(11)
    ]
    tree = Tree(files, cuts)
    assert tree.puts.count("run.json") == tree.puts.count("format") == tree.puts.count("params.json") == 1
    assert [path for path in tree if path.startswith("metrics/")] == ["metrics/000/00.jsonl"]
    assert tree["metrics/000/00.jsonl"].count(b"\n") == 10


def test_long_console_lines_are_split_and_nothing_is_lost():
    console = b"x" * (5 * 1024 * 1024) + b"\n" + b"tail"
    files = {"run.jsonl": journal(START), "console.log": console}
    tree = Tree(files, [cut(0, files)])
    assert tree.joined("console") == console
    assert max(len(data) for path, data in tree.items() if path.startswith("console/")) <= segments.CONSOLE_LIMIT


LINES = st.lists(
    st.one_of(
        st.builds(lambda step, value: point(step, loss=value), st.integers(0, 50), st.floats(-1e6, 1e6)),
        st.builds(
            lambda step: {"e": "checkpoint", "m": {"loss": 1.5}, "primary": None, "s": step, "t": 1.0, "w": 1002.0},
            st.integers(0, 9),
        ),
        st.builds(lambda text: {"e": "warning", "text": text, "t": 1.0, "w": 1002.0}, st.text(max_size=9)),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(LINES, LINES, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5), st.integers(1, 300))
def test_a_fold_does_not_depend_on_how_its_bytes_were_read(mine, other, marks, piece):
    name = "1700000000000-7-abcd.jsonl"
    files = {"run.jsonl": journal(START, *mine), name: journal(*other)}
    ends = {key: [index + 1 for index, byte in enumerate(data) if byte == 10] for key, data in files.items()}
    cuts, at = [], {"run.jsonl": ends["run.jsonl"][0], name: 0}
    for number, (a, b) in enumerate(marks):
        at = {
            "run.jsonl": max(at["run.jsonl"], ends["run.jsonl"][min(a, len(ends["run.jsonl"]) - 1)]),
            name: max(at[name], ends[name][min(b, len(ends[name]) - 1)] if ends[name] else 0),
        }
        cuts.append(events.Cut(number, at, "time", None, 1000.0 + number))
    cuts.append(cut(len(cuts), files, "final", "crashed"))
    original = fold.PIECE
    whole = Tree(files, cuts)
    try:
        fold.PIECE = piece
        parts = Tree(files, cuts, piece=max(1, piece // 3))
    finally:
        fold.PIECE = original
    assert dict(parts) == dict(whole)
    assert parts.commits == whole.commits


def test_every_point_of_a_long_run_is_in_closed_segments_of_bounded_size():
    lines = journal(*(point(step, loss=step / 7) for step in range(60_000)))
    files = {"run.jsonl": journal(START) + lines}
    tree = Tree(files, [cut(0, files)])
    assert tree.joined("metrics") == lines
    sizes = [len(data) for path, data in sorted(tree.items()) if path.startswith("metrics/")]
    assert len(sizes) > 3 and max(sizes) < segments.CLOSE_AT + 200 and min(sizes[:-1]) >= segments.CLOSE_AT
