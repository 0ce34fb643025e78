"""`artifacts`, `cat`, and what the other reading commands say of files and of resumed runs."""

import json
import subprocess

import builder
import keeping
import pytest

MODEL = bytes(range(256)) * 8000


@pytest.fixture
def run(store, call):
    """A finished run: two checkpoints with files, a table that was logged twice, and odd names."""
    made = keeping.Run(store.paths)
    made.write(keeping.point(0), keeping.checkpoint(0, 0))
    made.keep(0, {"model.pt": MODEL, "sub/config.json": b"{}"}, where="store")
    made.write(keeping.artifact(1, "table.csv", "table", 0))
    made.keep(1, {"table.csv": b"a,b\n1,2\n"})
    made.write(keeping.point(1), keeping.checkpoint(1, 2))
    made.keep(2, {"model.pt": MODEL[::-1]}, where="store")
    made.write(keeping.artifact(3, "table.csv", "table", 1))
    made.keep(3, {"table.csv": b"a,b\n3,4\n"})
    made.write(keeping.artifact(4, "odd"), keeping.end())
    made.keep(4, {"evil\x1b[2J:name": b"\x1b[31mred", "empty": b""})
    call("ls")
    return keeping.ID


def test_artifacts_lists_files_with_step_size_kind_and_place(run, call):
    lines = [line.split() for line in call("artifacts").splitlines()]
    assert lines[0] == ["path", "step", "size", "kind", "where"]
    assert lines[1:4] == [
        ["model.pt", "0", "2.0", "MB", "checkpoint", "store"],
        ["sub/config.json", "0", "2", "B", "checkpoint", "store"],
        ["table.csv", "0", "8", "B", "table", "git"],
    ]
    assert "\x1b" not in call("artifacts")
    assert [line.split()[0] for line in call("artifacts", f"{run}@1").splitlines()[1:]] == ["model.pt"]
    long = call("artifacts", "latest@best", "--long")
    assert "100644" in long
    assert len(long.splitlines()[1].split()[-1]) == 64


def test_artifacts_as_json_says_everything(run, call):
    found = json.loads(call("artifacts", "--json"))
    assert len(found) == 7
    assert found[0]["path"] == "model.pt"
    assert found[0]["size"] == len(MODEL)
    assert set(found[0]) == {"path", "sha256", "size", "mode", "where", "kind", "step", "time", "state"}
    assert found[-2]["path"] == "evil\x1b[2J:name"


def test_a_run_without_files_says_what_keeps_some(store, call):
    [plain] = builder.make_runs(store, 1)
    assert call("artifacts", plain) == ""
    assert "run.checkpoint(path=…)" in call.err
    assert json.loads(call("artifacts", plain, "--json")) == []


def test_cat_gives_the_bytes_of_the_last_file_or_of_a_checkpoints(run, repo, track):
    def cat(what: str) -> bytes:
        return subprocess.run(["git-track", "cat", what], cwd=repo, capture_output=True, check=True).stdout

    assert cat("latest:model.pt") == cat("latest@1:model.pt") == MODEL[::-1]
    assert cat(f"{run}@0:model.pt") == MODEL
    assert track("cat", "latest:table.csv").stdout == "a,b\n3,4\n"
    assert track("cat", f"{run}:sub/config.json").stdout == "{}"
    assert track("cat", "latest@0:empty", code=66).stderr
    assert track("cat", "latest:empty").stdout == ""


def test_cat_says_what_there_is(run, track):
    missing = track("cat", "latest:model.pth", code=66).stderr
    assert "model.pt" in missing
    assert "RUN:PATH" in track("cat", "latest", code=2).stderr
    assert track("cat", "nobody:model.pt", code=66).stderr


def test_cat_shows_text_on_a_terminal_and_nothing_that_drives_it(run, terminal):
    assert "3,4" in terminal("cat", "latest:table.csv")
    assert "\\x1b[31mred" in terminal("cat", "latest:evil\x1b[2J:name")
    assert "this is no text" in terminal("cat", "latest:model.pt")


def test_colons_of_metrics_and_of_paths_are_told_apart(run, track):
    assert track("cat", "best:loss:table.csv").stdout == "a,b\n3,4\n"
    assert track("cat", "best:table.csv").stdout == "a,b\n3,4\n"
    assert track("cat", "latest:evil\x1b[2J:name").stdout == "\x1b[31mred"


def test_cat_falls_back_to_the_code(repo, track):
    track("run", "-q", "true")
    assert track("cat", "latest:train.py").stdout == (repo / "train.py").read_text()


def test_show_has_the_files_of_the_last_checkpoint(run, call):
    page = call("show")
    assert "kept  7, 4.1 MB" in page
    assert page.count("model.pt") == 1
    assert f"git track checkout {run[:7]} --artifacts -o DIR" in page
    assert [one["path"] for one in json.loads(call("show", "--json"))["artifacts"]].count("model.pt") == 2
    checkpoint = call("show", f"{run}@0")
    assert "sub/config.json" in checkpoint
    assert [one["path"] for one in json.loads(call("show", f"{run}@0", "--json"))["artifacts"]] == [
        "model.pt",
        "sub/config.json",
    ]


def test_a_resumed_run_says_what_it_continues(store, call):
    origin = builder.run_id(0)
    continued = builder.journal(1, {}, [0.5], continues={"run": origin, "step": 10})
    builder.write_runs(store, [builder.journal(0, {}, [0.9]), continued])
    mark = f"{origin[:7]}@10"
    assert mark in call("ls")
    assert mark in call("show", "latest")
    assert mark in call("compare")
    assert call("ls", "-q", "--where", "continues is null") == origin + "\n"
    assert f"{origin}@10" in call("ls", "--csv", "--columns", "id,continues")


def test_files_and_checkpoints_are_completed(run, track):
    def complete(*words: str) -> list[str]:
        return [line.partition("\t")[0] for line in track("__complete", *words).stdout.splitlines()]

    assert complete("checkout", "latest@") == ["latest@best", "latest@latest", "latest@0", "latest@1"]
    assert complete("cat", "latest:") == [
        "latest:model.pt",
        "latest:sub/config.json",
        "latest:table.csv",
        "latest:empty",
    ]
    assert complete("cat", "latest@1:m") == ["latest@1:model.pt"]
    assert "latest:" in complete("cat", "la")
    assert complete("artifacts", "lat") == ["latest"]
    assert complete("checkout", "latest", "--path", "s") == ["sub/config.json"]
    assert complete("run", "--resume", "lat") == ["latest"]
    assert complete("run", "--resume", "latest@") == ["latest@best", "latest@latest", "latest@0", "latest@1"]
