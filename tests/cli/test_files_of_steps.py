"""RUN@STEP means the same files to all commands; RUN means the latest ones."""

import json

import keeping
import pytest
from checked_out import tree


@pytest.fixture
def run(store, call):
    """Histograms at steps 0, 1, 2 and 3, checkpoints at 1 and 3, torch.save beside both, a report at the end."""
    made = keeping.Run(store.paths)
    for step in range(4):
        made.write(keeping.point(step), keeping.artifact(10 + step, "w0.json", "histogram", step))
        made.keep(10 + step, {"w0.json": b"w%d" % step})
        made.write(keeping.artifact(20 + step, "last.pt", "torch", step))
        made.keep(20 + step, {"last.pt": b"last%d" % step})
        if step % 2:
            made.write(keeping.checkpoint(step, step))
            made.keep(step, {f"model-{step}.pt": b"m%d" % step, "config.json": b"c%d" % step})
    made.write(keeping.artifact(30, "plots/a.png"), keeping.end())
    made.keep(30, {f"plots/{name}.png": name.encode() for name in "abcdefghijkl"})
    call("ls")
    return keeping.ID


def listed(call, *args):
    return [one["path"] for one in json.loads(call("artifacts", *args, "--json"))]


def test_at_a_step_all_commands_mean_the_checkpoints_files(run, call, repo):
    assert listed(call, f"{run}@1") == ["model-1.pt", "config.json"]
    assert [one["path"] for one in json.loads(call("show", f"{run}@1", "--json"))["artifacts"]] == listed(
        call, f"{run}@1"
    )
    call("checkout", f"{run}@1", "--artifacts", "-o", "out")
    assert tree(repo / "out") == {"model-1.pt": b"m1", "config.json": b"c1"}
    assert call("cat", f"{run}@1:config.json") == "c1"


def test_where_no_checkpoint_is_they_mean_what_was_logged_at_exactly_that_step(run, call, repo):
    assert listed(call, f"{run}@2") == ["w0.json", "last.pt"]
    assert "files of step 2" in call("show", f"{run}@2")
    call("checkout", f"{run}@2", "--artifacts", "-o", "out")
    assert tree(repo / "out") == {"w0.json": b"w2", "last.pt": b"last2"}
    call("artifacts", f"{run}@9", code=66)


def test_without_a_step_they_mean_the_latest_files(run, call, repo):
    call("checkout", run, "--artifacts", "-o", "out")
    found = tree(repo / "out")
    assert {name: found[name] for name in found if not name.startswith("plots/")} == {
        "w0.json": b"w3", "last.pt": b"last3", "model-3.pt": b"m3", "config.json": b"c3"
    }  # fmt: skip
    assert len(found) == 16
    assert call("cat", f"{run}:w0.json") == "w3"


def test_a_file_that_was_logged_at_a_step_can_be_read_back(run, call):
    assert [call("cat", f"{run}@{step}:w0.json") for step in range(4)] == ["w0", "w1", "w2", "w3"]
    call("cat", f"{run}@7:w0.json", code=66)
    assert "it was kept at steps 0, 1, 2, 3" in call.err


def test_what_is_not_there_is_said_with_what_there_is(run, call):
    call("cat", f"{run}:nothing", code=66)
    assert "w0.json, last.pt, " in call.err and " more" in call.err
    call("cat", f"{run}:confg.json", code=66)
    assert "did you mean config.json? `git track artifacts RUN` lists all" in call.err
    call("cat", f"{run}@1:w0.jsn", code=66)
    call("checkout", run, "--artifacts", "-o", "out", "--path", "confg.json", code=66)
    assert "did you mean config.json?" in call.err


def test_a_folder_is_called_one(run, call):
    call("cat", f"{run}:plots", code=66)
    assert "'plots' is a folder in 0123456, with 12 files" in call.err
    assert "and 4 more" in call.err


def test_a_folder_of_the_code_is_called_one(repo, track):
    (repo / "src").mkdir()
    (repo / "src" / "net.py").write_text("x = 1\n")
    track("run", "-q", "true")
    assert "'src/' is a folder in the code of" in track("cat", "latest:src/", code=66).stderr
    assert track("cat", "latest:src/net.py").stdout == "x = 1\n"
