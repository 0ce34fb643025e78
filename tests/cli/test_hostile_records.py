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
