"""Records that no gittrack would write: edited by hand, cut short, or made to harm whoever lists them."""

import json
import os
from pathlib import Path

import builder
import pytest

import gittrack
from gittrack import errors
from gittrack.core import layout

OTHER = builder.run_id(0)
BAD = builder.run_id(1)
READING = [
    ("ls", "--columns", "+user,host,base,snapshot,checkpoints,exit_code,parent,created,reason"),
    ("ls", "--json"),
    ("ls", "--csv"),
    ("ls", "--where", "loss < 5 and params.lr > 0"),
    ("ls", "--sort", "loss"),
    ("ps",),
    ("compare",),
    ("compare", "--at", "best"),
    ("compare", "-g", "params.lr"),
    ("show", "best:loss"),
    ("recover",),
]
WRONG = [
    ("run.json", ("command",), ["rm"]),
    ("run.json", ("snapshot",), [1]),
    ("run.json", ("snapshot",), "--output=somewhere"),
    ("run.json", ("base",), "HEAD"),
    ("run.json", ("parent",), True),
    ("run.json", ("user", "name"), ["a", None]),
    ("run.json", ("left_out",), -1),
    ("run.json", ("tags",), [{}]),
    ("run.json", ("created",), 5),
    ("status.json", ("status",), None),
    ("status.json", ("duration",), 10**400),
    ("status.json", ("duration",), {"$": "nan"}),
    ("status.json", ("warnings",), {"a": 1}),
    ("params.json", ("lr",), 1.5),
    ("params.json", ("lr",), {"source": "code"}),
    ("summary.json", ("metrics",), ["a"]),
    ("summary.json", ("metrics", "loss"), True),
    ("summary.json", ("metrics", "loss", "min"), [1]),
    ("summary.json", ("metrics", "loss", "last"), 10**400),
    ("summary.json", ("metrics", "loss", "best_step"), {"$": "nan"}),
    ("summary.json", ("checkpoints", "best"), True),
    ("summary.json", ("checkpoints", "best", "step"), []),
    ("summary.json", ("primary",), {"metric": "loss"}),
    ("summary.json", ("goals",), {"loss": "up"}),
]


@pytest.fixture
def damage(store):
    """`damage("run.json", data)` writes two runs, a sound one and then BAD, whose document is `data`."""
    runs = [builder.journal(n, {"lr": 0.1 * n}, [0.5, 0.25 * n], checkpoints=True) for n in range(2)]
    builder.write_runs(store, runs)
    ref = layout.run_ref(BAD)

    def write(path, data):
        tip = store.refs(ref)[ref]
        builder.record(store, {**builder.files_of(store, tip), path: data}, ref, tip)

    def sound(path):
        return json.loads(store.read_path(store.refs(ref)[ref], path))

    write.sound = sound
    return write


@pytest.mark.parametrize(("path", "place", "value"), WRONG, ids=lambda one: str(one)[:24])
def test_a_wrong_type_costs_one_run_its_row_and_no_other(path, place, value, damage, call, repo):
    document = damage.sound(path)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    damage(path, json.dumps(document).encode())
    for argv in READING:
        call(*argv)
    states = {run["id"]: run["status"] for run in json.loads(call("ls", "--json"))}
    assert states == {OTHER: "completed", BAD: "damaged"}
    for argv in (("show", BAD), ("diff", OTHER, BAD), ("logs", BAD)):
        call(*argv, code=65)
        assert f"{path} of refs/track/runs/" in call.err
    call("doctor", code=65)
    listed = gittrack.runs(repo=str(repo))
    assert [repr(run) for run in listed]
    assert len(listed.to_pandas()) == 2
    with pytest.raises(errors.DamagedRecord):
        _ = listed[-1].record if listed[-1].id == BAD else listed[0].record


@pytest.mark.parametrize("data", [b'{"id":' * 5000, b"[" * 100_000, b'{"a":{"$":["x"]}}', b'{"a":{"$":"bytes"}}'])
def test_a_document_that_no_parser_takes_is_a_damaged_record(data, damage, call):
    damage("run.json", data)
    assert "damaged" in call("ls")
    call("show", BAD, code=65)


def test_an_argument_that_is_no_utf_8_leaves_a_run_that_can_be_read(repo: Path, track, call):
    strange = os.fsdecode(b"caf\xe9")
    track("run", "-q", "--name", "odd", "--tag", strange, "--experiment", strange, "--", "true", strange)
    run = json.loads(call("ls", "--json"))[0]
    assert (run["status"], run["tags"]) == ("completed", ["caf\\xe9"])
    assert "caf\\xe9" in run["command"]
    call("show")
    call("ls", "--where", 'command ~ "caf"')


@pytest.mark.parametrize(
    "line",
    [
        b'{"m":5,"s":1}',
        b'{"m":{"loss":1}}',
        b'{"m":{"loss":"x"},"s":1}',
        b'{"m":{"loss":[1]},"s":"a"}',
        b'{"m":{"loss":{"$":["a"]}},"s":1}',
        b'{"m":{"loss":{"$":"bytes","b64":"AA=="}},"s":1}',
        b'{"m":{"loss":1},"s":1,"t":1,"w":1' + b"0" * 5000 + b"}",
        b'{"m":' + b"[" * 5000,
        b"[]",
        b"\xff",
    ],
    ids=lambda line: line.decode(errors="replace")[:30],
)
def test_a_line_of_a_series_that_says_no_point_is_passed_over(line, damage, call, repo):
    damage("metrics/000/00.jsonl", line + b'\n{"m":{"loss":0.5},"s":4,"t":1,"w":2}\n')
    for argv in (("compare", "--at", "step=4"), ("compare", "--at", "best"), ("compare", "--plot", "loss")):
        call(*argv)
    run = next(run for run in gittrack.runs(repo=str(repo)) if run.id == BAD)
    assert run.metrics("loss").to_dict() == {4: 0.5}
    assert run.metrics()["loss"].to_dict() == {4: 0.5}


@pytest.mark.parametrize(
    "line",
    [
        b'{"e":"checkpoint","m":5,"s":"x"}',
        b'{"e":"checkpoint","m":{"loss":{"$":["x"]}},"s":[1]}',
        b'{"e":"checkpoint","t":"x","w":"y","s":1}',
        b'{"e":"checkpoint","t":1e300,"w":1e300,"s":1}',
    ],
)
def test_a_line_that_says_no_checkpoint_is_passed_over(line, damage, call):
    damage("checkpoints/000/00.jsonl", line + b'\n{"e":"checkpoint","m":{"loss":0.5},"s":4,"t":1,"w":2}\n')
    assert "0.5" in call("show", f"{BAD}@4")
    call("show", f"{BAD}@1", code=66)
    assert "are at: 4" in call.err


@pytest.mark.parametrize(
    "system",
    [b'{"os":1,"cpu":2,"gpus":3}', b'{"os":{"text":5},"architecture":[7],"cpu":{},"gpus":[{"name":1}, 2]}', b"["],
)
def test_a_strange_environment_is_shown_as_far_as_it_goes(system, damage, call):
    damage("environment/system.json", system)
    assert "metrics" in call("show", BAD)
    call("diff", OTHER, BAD)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (1, {"run": 5}),
        (1, {"run": {"id": BAD, "tags": "x"}}),
        (1, {"goals": -1}),
        (1, {"w": "soon"}),
        (2, {"values": [1]}),
        (3, {"m": {"loss": [1]}}),
        (3, {"s": [1]}),
        (3, {"s": 10**30}),
    ],
)
def test_a_damaged_journal_of_a_live_run_hides_no_other_run(line, value, store, call, repo):
    builder.write_runs(store, [builder.journal(0, {"lr": 0.1}, [0.5])])
    lines = builder.journal(1, {"lr": 0.1}, [0.25], status=None).splitlines(keepends=True)
    lines[line] = json.dumps({**json.loads(lines[line]), **value}).encode() + b"\n"
    folder = repo / ".git" / "track" / "live" / BAD
    folder.mkdir(parents=True)
    (folder / "run.jsonl").write_bytes(b"".join(lines))
    (folder / "cuts.jsonl").write_bytes(b'{"n":0}\n{"n":0,"files":5,"reason":1,"w":"x"}\n')
    for argv in READING[:-1]:
        call(*argv)
    states = {run["id"]: run["status"] for run in json.loads(call("ls", "--json"))}
    assert states == {OTHER: "completed", BAD: "damaged" if line == 1 else "lost?"}
    call("show", BAD, code=65 if line == 1 else 0)
    call("recover", "--force")
    call("ls")


@pytest.mark.parametrize("argv", [("ls",), ("compare",), ("logs",), ("log",)])
def test_a_number_beyond_every_machine_word_asks_for_all(argv, damage, call):
    call(*argv, "-n", "9" * 30)
