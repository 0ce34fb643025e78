"""`gc`, `du`, `rm --artifacts` and `keep:` from the command line."""

import hashlib
import json
from pathlib import Path

import pytest
import stored
from common import noise


@pytest.fixture
def runs(store):
    losses = {10: 0.5, 20: 0.1, 30: 0.4, 40: 0.3}
    files = {step: {"model.pt": noise(step)} for step in losses}
    stored.run(store, 1, files, losses, {"plot.bin": noise(1)}, name="one")
    stored.run(store, 2, {10: {"model.pt": noise(10)}, 50: {"model.pt": noise(50, 300_000)}}, name="two")
    return ["one", "two"]


def there(store, seed, size=100_000):
    import hashlib

    return stored.content(store).has(hashlib.sha256(noise(seed, size)).hexdigest(), size)


def test_without_anything_to_remove_nothing_happens(runs, call):
    assert " ".join(call("gc", "--grace", "0").splitlines()[0].split()) == "0 B in 0 pieces: no run needs them"


def test_rm_artifacts_then_gc_frees_what_no_other_run_has(runs, call, store):
    out = call("rm", "two", "--artifacts")
    assert "needs its files no more" in out
    assert "300.0 kB" in call("gc", "--grace", "0", "--dry-run")
    assert there(store, 50, 300_000)
    assert "removed 300.0 kB" in call("gc", "--grace", "0")
    assert not there(store, 50, 300_000)
    assert there(store, 10), "the other run has it, too"
    assert "two" in call("ls"), "the run itself stays"


def test_an_undo_of_rm_artifacts_saves_the_files(runs, call, store):
    call("rm", "two", "--artifacts")
    call("undo")
    assert json.loads(call("gc", "--grace", "0", "--json"))["objects"] == 0
    call("rm", "two", "--artifacts")
    assert call("rm", "two", "--artifacts") == "nothing to change\n"


def test_the_grace_period_is_two_weeks_unless_it_is_given(runs, call, store):
    call("rm", "two", "--artifacts")
    assert "not needed, but newer than 14d" in call("gc")
    stored.age(store, 15 * 86400)
    assert "removed 300.0 kB" in call("gc", "-y")
    call("gc", "--grace", "soon", code=2)


def test_keep_in_gittrack_yaml_is_applied_by_gc_and_metrics_stay(runs, call, store, repo):
    (repo / "gittrack.yaml").write_text("keep: {best: 1, latest: 1}\n")
    found = json.loads(call("gc", "--grace", "0", "--json", "--dry-run"))
    [parcels] = found["keep"].values()
    assert parcels == [stored.parcel(1, 10), stored.parcel(1, 30)], "two has no metric: which is best cannot be known"
    assert there(store, 30)
    assert "keep: lets go of the files of 2 checkpoints in 1 run\n" in call("gc", "--grace", "0")
    assert [there(store, step) for step in (10, 20, 30, 40, 1)] == [True, True, False, True, True]
    assert "0.4" in call("show", "one@30")
    assert json.loads(call("gc", "--json"))["keep"] == {}


def test_no_keep_leaves_the_policy_out(runs, call, repo):
    (repo / "gittrack.yaml").write_text("keep: {latest: 1}\n")
    assert json.loads(call("gc", "--grace", "0", "--json", "--no-keep"))["objects"] == 0


def test_on_a_terminal_it_asks(runs, call, terminal, store):
    call("rm", "two", "--artifacts")
    assert "nothing was removed" in terminal("gc", "--grace", "0", typed=b"n\n")
    assert there(store, 50, 300_000)
    assert "removed 300.0 kB" in terminal("gc", "--grace", "0", typed=b"y\n")


def test_du_says_what_each_run_has_and_what_is_its_own(runs, call):
    found = json.loads(call("du", "--json"))
    assert [(one["files"], one["size"], one["own"]) for one in found["runs"]] == [
        (5, 500_000, 400_000),
        (2, 400_000, 300_000),
    ]
    assert (found["files"], found["store"], found["free"]) == (900_000, 800_000, 0)
    assert found["git"] > 0
    out = call("du")
    assert "its own" in out and "one" in out and "800.0 kB  in the store" in out


def test_du_counts_what_gc_would_free(runs, call):
    call("rm", "two", "--artifacts")
    assert json.loads(call("du", "--json"))["free"] == 300_000
    assert "300.0 kB  of it no run needs" in call("du")


def test_du_and_gc_in_an_empty_repository(call):
    assert "in the store" in call("du")
    assert "0 B" in call("gc", "--yes")


def test_files_of_a_run_that_is_going_on_cannot_be_let_go(call, repo):
    import os

    import keeping

    from gittrack.git.discover import discover

    run = keeping.Run(discover(str(repo), os.environ))
    from gittrack.recorder import files

    lock = files.create(run.directory, "1700000000001-1-abcd.jsonl")
    call("rm", keeping.ID[:7], "--artifacts", code=2)
    assert "still going" in call.err
    assert lock


def test_a_store_is_cleaned_up_in_two_calls(runs, call, store, repo, tmp_path):
    (tmp_path / "shared").mkdir()
    (repo / "gittrack.yaml").write_text(f"store: file://{tmp_path}/shared\n")
    call("store", "push")
    call("rm", "two", "--artifacts")
    assert "300.0 kB  no clone needs: noted" in call("gc", "--store", "--dry-run")
    call("gc", "--store")
    assert "300.0 kB  noted before" in call("gc", "--store")
    [said] = json.loads(call("gc", "--store", "--grace", "0", "--json")).values()
    assert (said["removed"], said["noted"], said["needed"]) == (300_000, 0, 500_000)
    call("store", "push")
    assert "0 B  no clone needs" in call("gc", "--store"), "what was let go is not pushed again"


def test_without_a_store_there_is_none_to_clean_up(runs, call):
    call("gc", "--store", code=2)
    assert "git track gc" in call.err


def test_a_file_that_was_let_go_is_said_to_be_so(runs, call, store):
    call("rm", "two", "--artifacts")
    assert "let go" in call("artifacts", "two") and "let go" not in call("artifacts", "one")
    assert call("cat", "two@50:model.pt") is not None, "it is still there"
    call("gc", "--grace", "0")
    call("cat", "two@50:model.pt", code=80)
    assert "was let go of on 20" in call.err and "by Ann Example" in call.err
    call("checkout", "two@50", "--artifacts", "-o", "out", code=80)
    assert "was let go of on 20" in call.err


def test_du_counts_what_is_here_and_marks_deleted_runs(runs, call, store):
    call("rm", "two")
    assert "two (deleted)" in call("du")
    (victim,) = (Path(store.paths.common_dir) / "track" / "objects").glob(
        f"chunks/*/{hashlib.sha256(noise(50, 300_000)).hexdigest()}"
    )
    victim.unlink()
    two = min(json.loads(call("du", "--json"))["runs"], key=lambda one: one["files"])
    assert (two["files"], two["size"], two["away"]) == (1, 100_000, 300_000)
    assert "300.0 kB  of files that are not here" in call("du")
