"""An undo of letting go after gc has removed the bytes: it says so, and so does everybody afterwards."""

import json
import random
import shutil

import pytest
import stored


@pytest.fixture
def one(store):
    files = {step: {"model.pt": random.Random(step).randbytes(100_000)} for step in (10, 20)}
    shared = {50: {"model.pt": files[20]["model.pt"]}}
    stored.run(store, 1, files, name="one")
    stored.run(store, 2, shared, name="two")
    return "one"


def where(call):
    return [text.split("  ")[-1].strip() for text in call("artifacts", "one").splitlines()[1:]]


def test_an_undo_names_what_gc_has_removed_and_brings_back_the_rest(one, call, store):
    call("rm", one, "--artifacts")
    assert where(call) == ["store, let go", "store, let go"]
    call("gc", "--grace", "0")
    assert where(call) == ["gone", "store, let go"], "the other run needs the second one"
    out = call("undo")
    assert out.startswith("undone: ")
    assert "but of 2 files that it let go of, 1 is gone" in out and "model.pt  step 10  100.0 kB" in out
    assert "step 20" not in out
    assert where(call) == ["gone", "store"]
    assert [each["state"] for each in json.loads(call("artifacts", "one", "--json"))] == ["gone", "kept"]


def test_afterwards_nothing_calls_it_damage(one, call, store):
    call("rm", one, "--artifacts")
    call("gc", "--grace", "0")
    [gone] = json.loads(call("undo", "--json"))["gone"]
    assert (gone["path"], gone["step"], gone["size"]) == ("model.pt", 10, 100_000)
    call("cat", "one@10:model.pt", code=80)
    assert "was let go of on 20" in call.err and "store pull" not in call.err
    out = call("doctor")
    assert "let go of and removed before that was undone: 1 file;" in out


def test_an_undo_before_gc_brings_all_back_and_says_no_more(one, call):
    call("rm", one, "--artifacts")
    assert call("undo").count("\n") == 1
    assert where(call) == ["store", "store"]


def test_a_file_that_is_missing_though_nobody_let_go_of_it_is_still_damage(one, call, store):
    call("tag", one, "good")
    shutil.rmtree(store.paths.common_dir + "/track/objects/chunks")
    call("doctor", code=65)


def test_the_files_are_counted_on_a_terminal(one, call, terminal):
    assert "2 files, 200.0 kB\n" in terminal("artifacts", "one")
    assert "2 files," not in call("artifacts", "one")
