"""An undo of an undo says what is so again; what failed and did nothing leaves no trace."""

import json
import random
import shutil

import stored


def test_an_undo_of_an_undo_says_redone_and_so_does_the_log(store, track):
    stored.run(store, 1, {}, name="one")
    track("rename", "one", "two")
    assert track("undo").stdout == "undone: git track rename one two\n"
    assert track("undo").stdout == "redone: git track rename one two\n"
    assert track("undo").stdout == "undone: git track rename one two\n"
    said = [one["what"] for one in json.loads(track("log", "--json").stdout)]
    change = "git track rename one two"
    assert said[:4] == [f"undone: {change}", f"redone: {change}", f"undone: {change}", change]
    assert f"redone: {change}" in track("log").stdout


def test_a_checkout_that_fails_is_no_operation_and_leaves_no_folder(store, track, repo):
    run = stored.run(store, 1, {1: {"model.pt": random.Random(1).randbytes(2_000_000)}}, name="one")
    shutil.rmtree(repo / ".git/track/objects/chunks")
    before = track("log").stdout
    track("checkout", f"{run}@1", "--artifacts", "-o", "new/deep/out", code=80)
    assert not (repo / "new").exists()
    (repo / "mine").mkdir()
    track("checkout", f"{run}@1", "--artifacts", "-o", "mine/out", code=80)
    assert [path.name for path in (repo / "mine").iterdir()] == [], "a folder that was there stays"
    assert track("log").stdout == before
