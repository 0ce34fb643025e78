"""`git track diff --weights`: the tensors of two checkpoints of runs."""

import io
import json
import re

import pytest
import stored

torch = pytest.importorskip("torch")


def saved(**tensors):
    file = io.BytesIO()
    torch.save({"model": tensors, "step": 1}, file)
    return file.getvalue()


@pytest.fixture
def pair(store):
    first = {10: {"model.pt": saved(w=torch.ones(4), b=torch.ones(2))}, 20: {"model.pt": saved(w=torch.ones(4) * 2)}}
    stored.run(store, 1, first, name="old")
    stored.run(store, 2, {10: {"model.pt": saved(w=torch.ones(4) * 3, b=torch.ones(2))}}, name="new")


def test_tensors_that_changed_are_shown_with_numbers(pair, call):
    out = call("diff", "old@10", "new", "--weights")
    assert re.search(r"model\.w +changed +4 +float32 +2 +4 +1\b", out)
    assert "1 changed, 1 the same" in out
    assert "model.b" not in out
    assert "old" not in out and "model.pt (step 10)" in out


def test_without_a_step_it_is_the_file_that_was_kept_last(pair, call):
    found = json.loads(call("diff", "old", "new", "--weights", "--json"))
    assert (found["from"]["step"], found["to"]["step"]) == (20, 10)
    assert found["tensors"]["model.b"]["what"] == "added"
    assert found["tensors"]["model.w"]["relative"] == 0.5


def test_two_steps_of_one_run_are_compared(pair, call):
    found = json.loads(call("diff", "old@10", "old@20", "--weights", "--json"))
    assert found["tensors"]["model.w"]["norm"] == 2.0
    assert found["total"]["norm"] == 2.0


def test_of_several_files_one_has_to_be_named(store, call):
    files = {"a.pt": saved(w=torch.ones(1)), "b.pt": saved(w=torch.ones(2)), "config.json": b"{}"}
    for number in (1, 2):
        stored.run(store, number, {1: files}, name=f"run-{number}")
    call("diff", "run-1", "run-2", "--weights", code=2)
    assert "a.pt, b.pt" in call.err and "-- FILE" in call.err
    assert "0 changed, 1 the same" in call("diff", "run-1", "run-2", "--weights", "--", "b.pt")
    call("diff", "run-1", "run-2", "--weights", "--", "c.pt", code=66)
    assert "a.pt" in call.err
    call("diff", "run-1", "run-2", "--weights", "--", "config.json", code=77)
    assert "neither a torch nor a safetensors file" in call.err


def test_files_of_other_names_are_compared_where_each_run_has_one(store, call):
    stored.run(store, 1, {1: {"a.pt": saved(w=torch.ones(1))}}, name="one")
    stored.run(store, 2, {1: {"b.pt": saved(w=torch.ones(1)), "readme.txt": b"x"}}, name="two")
    assert "1 the same" in call("diff", "one", "two", "--weights")


def test_runs_without_files_say_so(store, call):
    stored.run(store, 1, {}, name="one")
    stored.run(store, 2, {}, name="two")
    call("diff", "one", "two", "--weights", code=66)
    assert "no file is in both" in call.err


def test_names_of_tensors_cannot_drive_the_terminal(store, call):
    for number in (1, 2):
        stored.run(store, number, {1: {"m.pt": saved(**{"\033[2Jw": torch.ones(1) * number})}}, name=f"run-{number}")
    assert "\033" not in call("diff", "run-1", "run-2", "--weights")


def test_a_hostile_checkpoint_runs_nothing(store, call, tmp_path):
    class Payload:
        def __reduce__(self):
            return open, (str(tmp_path / "owned"), "w")

    file = io.BytesIO()
    torch.save({"w": torch.ones(1), "x": Payload()}, file)
    (tmp_path / "owned").unlink(missing_ok=True)
    for number in (1, 2):
        stored.run(store, number, {1: {"m.pt": file.getvalue()}}, name=f"run-{number}")
    call("diff", "run-1", "run-2", "--weights", code=77)
    assert "io.open" in call.err and not (tmp_path / "owned").exists()
