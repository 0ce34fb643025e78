"""`git track diff --weights`: which files it compares, and how it shows what changed."""

import io
import json

import keeping
import pytest
import stored

torch = pytest.importorskip("torch")


def saved(**tensors):
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def compared(call, *args):
    found = json.loads(call("diff", *args, "--weights", "--json"))
    return [(found[side]["path"], found[side]["step"]) for side in ("from", "to")]


@pytest.fixture
def runs(store):
    def files(name, scale, extra=None):
        return {name: saved(w=torch.arange(1.0, 4.0) * scale), **(extra or {})}

    first = {1: files("a.pt", 1), 2: files("a.pt", 2), 3: {"notes.txt": b"no weights"}}
    stored.run(store, 1, first, {1: 0.1, 2: 0.5, 3: 0.7}, {"later.pt": saved(w=torch.ones(3))}, name="one")
    stored.run(store, 2, {1: files("b.pt", 3), 5: files("c.pt", 4)}, {1: 0.1, 5: 0.2}, name="two")


def test_without_a_step_it_is_the_latest_checkpoint_that_holds_weights(runs, call):
    assert compared(call, "one", "two") == [("a.pt", 2), ("c.pt", 5)]
    assert compared(call, "one@best", "two@best") == [("a.pt", 1), ("b.pt", 1)]


def test_where_no_checkpoint_holds_weights_it_is_what_was_kept_last(runs, call, store):
    made = keeping.Run(store.paths)
    for number, name in enumerate(("x.pt", "y.pt")):
        made.write(keeping.artifact(number, name, "torch", number))
        made.keep(number, {name: saved(w=torch.ones(3))})
    made.write(keeping.end())
    call("ls")
    assert compared(call, keeping.ID, "two") == [("y.pt", 1), ("c.pt", 5)]


def test_each_side_may_name_its_file(runs, call):
    assert compared(call, "one@1:a.pt", "two:b.pt") == [("a.pt", 1), ("b.pt", 1)]
    assert compared(call, "one:later.pt", "two") == [("later.pt", None), ("c.pt", 5)]
    call("diff", "one:nothing.pt", "two", "--weights", code=66)
    assert "has no file 'nothing.pt'" in call.err
    call("diff", "nobody", "two", "--weights", code=66)
    assert "no run is called 'nobody'" in call.err


LONG = "encoder.layers.{}.attention.heads.combined.projection.of.all.the.values.weight"


@pytest.fixture
def large(store):
    def state(scale):
        model = {LONG.format(n): torch.ones(3) * (1 + n * scale) for n in (1, 2)}
        moments = {0: {"exp_avg": torch.ones(3) * (1 + 9 * scale), "step": torch.tensor(1.0 + scale)}}
        return saved(optimizer={"state": moments}, model=model)

    for number, scale in ((1, 0.0), (2, 0.25)):
        stored.run(store, number, {1: {"m.pt": state(scale)}}, name=f"run-{number}")


def test_the_model_comes_first_or_all_as_in_the_file(large, call):
    def names(*options):
        rows = call("diff", "run-1", "run-2", "--weights", *options).splitlines()
        return [row.split()[0] for row in rows if " changed " in row]

    model = ["model." + LONG.format(n) for n in (2, 1)]
    assert names()[:2] == model and all(name.startswith("optimizer.") for name in names()[2:])
    assert names("--in-order")[-2:] == model[::-1] and len(names("--in-order")) == 4


def test_cosines_stand_below_each_other_and_no_name_is_cut(large, call, terminal):
    rows = call("diff", "run-1", "run-2", "--weights").splitlines()
    ends = [row.split()[-1] for row in rows if row.startswith("  ") or LONG[:7] in row]
    assert {len(end) for end in ends if end[0].isdigit()} == {9}
    shown = terminal("diff", "run-1", "run-2", "--weights", GIT_PAGER="cat")
    assert all("model." + LONG.format(n) in shown for n in (1, 2))
