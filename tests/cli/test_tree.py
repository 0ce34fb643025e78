"""`git track tree`."""

import json
import time

import builder
import pytest


def runs(store, *facts):
    journals = (builder.journal(number, {}, [0.5, 0.25], **one) for number, one in enumerate(facts))
    return builder.write_runs(store, journals)


def origin(number, how="checkout", step=None):
    return {"run": builder.run_id(number), "step": step, "how": how}


def test_it_draws_ancestors_and_descendants_with_state_and_how_they_came(store, call):
    ids = runs(
        store,
        {"name": "base"},
        {"origin": origin(0)},
        {"continues": {"run": builder.run_id(1), "step": 200}},
        {"origin": origin(0, "commit"), "name": "other"},
        {},
    )
    short = [one[:7] for one in ids]
    lines = call("tree").splitlines()
    drawn = [next(word for word in line.split() if word in short) for line in lines]
    assert drawn == [short[at] for at in (0, 3, 1, 2)]
    assert [line.index("●") for line in lines] == [0, 2, 0, 0]
    assert lines[0].split()[2:4] == ["base", "completed"]
    assert lines[3].endswith(f"resumes {short[1]}@200")
    assert lines[1].endswith(f"from a commit of {short[0]}")
    assert short[4] not in call("tree")
    assert short[4] in call("tree", "--all")


def test_around_a_run_its_siblings_are_left_out_unless_all_are_wanted(store, call):
    ids = runs(store, {}, {"origin": origin(0)}, {"origin": origin(0)}, {"origin": origin(1)})
    short = [one[:7] for one in ids]
    assert short[2] not in call("tree", short[1])
    assert all(one in call("tree", short[1]) for one in (short[0], short[1], short[3]))
    assert short[2] in call("tree", short[1], "--all")


def test_what_is_not_here_or_was_deleted_is_said(store, call):
    ids = runs(
        store, {"origin": {"run": "f" * 20, "step": None, "how": "said"}}, {"origin": origin(0)}, {"origin": origin(0)}
    )
    short = [one[:7] for one in ids]
    call("rm", short[0], short[2])
    shown = call("tree")
    assert "fffffff" in shown
    assert "not here" in shown
    assert "deleted" in shown
    assert short[2] not in shown


def test_json_has_runs_and_all_that_they_came_from(store, call):
    ids = runs(store, {}, {"origin": origin(0, "said", 7), "parent": builder.run_id(0)})
    found = json.loads(call("tree", "--json"))
    assert [one["id"] for one in found] == ids
    assert found[1]["from"] == [
        {"run": ids[0], "step": 7, "how": "said"},
        {"run": ids[0], "step": None, "how": "started"},
    ]
    assert found[0]["primary"] is None or found[0]["primary"]["metric"] == "loss"


def test_nothing_to_draw_is_said(store, call):
    call("tree")
    assert "no runs yet" in call.err
    runs(store, {}, {})
    call("tree")
    assert "no run comes from another one" in call.err


def test_hostile_names_do_not_reach_the_terminal(store, call):
    runs(store, {"name": "x\x1b[31m"}, {"origin": {"run": "\x1b]0;x\x07" + "a" * 13, "step": None, "how": "\x1b[2J"}})
    assert "\x1b" not in call("tree")


@pytest.mark.parametrize("count", [2_000])
def test_thousands_of_runs_are_drawn_in_no_time(store, call, count):
    first = {"run": builder.run_id(0), "step": None, "how": "checkout"}
    builder.write_runs(store, (builder.journal(n, {}, [0.5], **({"origin": first} if n else {})) for n in range(count)))
    call("tree")  # makes the index
    began = time.process_time()
    assert len(call("tree").splitlines()) == count
    assert time.process_time() - began < 5
