from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gittrack.core import annotations
from gittrack.core.annotations import Given, Op, State

RUN = "0" * 20
OTHER = "1" * 20
WRITERS = ("aaaa", "bbbb", "cccc")


def op(kind: str, value: object, clock: int = 1, writer: str = "aaaa", op_id: str = "", run: str = RUN) -> Op:
    return Op(clock, writer, clock, op_id or f"{writer}{clock}", run, kind, value, 1.5, "Ann <ann@example.org>")


NOTHING = Given()


def state(*ops: Op, given: Given = NOTHING) -> State:
    return annotations.fold(given, ops)


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    """Operations as several writers make them: each sees some of the others' before it adds its own."""
    ops: list[Op] = []
    for place in range(draw(st.integers(0, 14))):
        seen = draw(st.lists(st.sampled_from(ops), unique_by=lambda one: one.id)) if ops else []
        clock = 1 + max((one.clock for one in seen), default=0)
        ids = [one.id for one in seen]
        kind, value = draw(
            st.one_of(
                st.tuples(st.just("name"), st.sampled_from([None, "a", "b"])),
                st.tuples(st.sampled_from(["tag", "note"]), st.sampled_from(["x", "y"])),
                st.tuples(st.sampled_from(["untag", "undo"]), st.lists(st.sampled_from([*ids, "start:x"]))),
                st.tuples(st.sampled_from(["baseline", "deleted", "archived"]), st.booleans()),
            )
        )
        writer = draw(st.sampled_from(WRITERS))
        ops.append(Op(clock, writer, place, f"{place:04x}", draw(st.sampled_from([RUN, OTHER])), kind, value, 1.0, "A"))
    return ops


EXPERIMENTS = {RUN: "e", OTHER: "e"}


@given(histories(), st.data())
def test_any_order_of_arrival_and_any_union_give_the_same_state(ops: list[Op], data: st.DataObject) -> None:
    again: Sequence[Op] = data.draw(st.lists(st.sampled_from(ops))) if ops else []
    mixed = data.draw(st.permutations([*ops, *again]))
    given_state = Given("n", ("x",), "first")
    assert annotations.fold(given_state, mixed) == annotations.fold(given_state, ops)
    assert annotations.baselines(mixed, EXPERIMENTS) == annotations.baselines(ops, EXPERIMENTS)


@given(histories())
def test_an_undo_of_an_undo_restores_what_stood_before_both(ops: list[Op]) -> None:
    clock = 1 + max((one.clock for one in ops), default=0)
    ops = [one._replace(run=RUN) for one in ops]
    undo = op("undo", [one.id for one in ops], clock, op_id="undo")
    redo = op("undo", ["undo"], clock + 1, op_id="redo")
    assert state(*ops, undo) == state()
    assert state(*ops, undo, redo) == state(*ops)


@given(histories())
def test_what_is_written_reads_back(ops: list[Op]) -> None:
    data = b"".join(annotations.line(one) for one in ops)
    again = annotations.parse(data, "aaaa", 7)
    assert again == [one._replace(writer="aaaa", place=number) for number, one in enumerate(ops, 7)]


def test_the_last_name_wins_by_clock_then_by_writer() -> None:
    assert state(op("name", "late", 3), op("name", "early", 2, "cccc")).name == "late"
    assert state(op("name", "b", 2, "bbbb"), op("name", "a", 2, "aaaa")).name == "b"
    assert state(op("name", None, 2), given=Given("given")).name is None


def test_an_untag_removes_only_the_tags_that_it_has_seen() -> None:
    seen, unseen = op("tag", "good", 1, op_id="t1"), op("tag", "good", 1, "bbbb", op_id="t2")
    assert state(seen, op("untag", ["t1"], 2)).tags == {}
    assert state(seen, unseen, op("untag", ["t1"], 5)).tags == {"good": ("t2",)}


def test_a_tag_of_the_start_can_be_taken_away() -> None:
    assert state(given=Given(tags=("a", "b"))).tags == {"a": ("start:a",), "b": ("start:b",)}
    assert state(op("untag", ["start:a"]), given=Given(tags=("a", "b"))).tags == {"b": ("start:b",)}


def test_notes_are_a_list_that_begins_with_the_one_given() -> None:
    assert state(op("note", "2nd", 2), op("note", "1st", 1), given=Given(note="0th")).notes == ("0th", "1st", "2nd")


def test_deleted_and_archived_are_the_last_ones_said() -> None:
    assert state(op("deleted", True, 1), op("deleted", False, 2), op("archived", True, 3))[-2:] == (False, True)


def test_a_baseline_takes_the_mark_from_the_others_of_its_experiment_only() -> None:
    ops = [op("baseline", True, 1), op("baseline", True, 2, run=OTHER)]
    assert annotations.baselines(ops, {RUN: None, OTHER: None}) == {OTHER}
    assert annotations.baselines(ops, {RUN: "a", OTHER: "b"}) == {RUN, OTHER}
    assert annotations.baselines([*ops, op("baseline", False, 3)], {RUN: None, OTHER: None}) == {OTHER}
    assert annotations.baselines([*ops, op("baseline", False, 3, run=OTHER)], {RUN: None, OTHER: None}) == set()
    assert annotations.baselines(ops, {RUN: None}) == {RUN}


def test_an_undo_cannot_name_what_comes_after_it() -> None:
    assert state(op("undo", ["later"], 1), op("note", "stays", 2, op_id="later")).notes == ("stays",)


def test_an_undo_reaches_no_other_run_than_its_own() -> None:
    marked = op("baseline", True, 1, op_id="mark")
    assert annotations.baselines([marked, op("undo", ["mark"], 2, run=OTHER)], {RUN: "e", OTHER: "f"}) == {RUN}


def test_lines_that_are_damaged_newer_or_wrong_keep_their_numbers_and_are_passed_over() -> None:
    good = annotations.line(op("note", "n", 4))
    odd = [
        b"{", b"[]", b'{"clock":1}', b"\xff", b'{"clock":true,"id":"a","op":"note","run":"r","value":"x"}',
        b'{"clock":1,"id":"a","op":"colour","run":"r","value":"x"}',
        b'{"clock":1,"id":"a","op":"deleted","run":"r","value":"yes"}',
        b'{"clock":4611686018427387904,"id":"a","op":"note","run":"r","value":"x"}',
    ]  # fmt: skip
    found = annotations.parse(b"\n".join(odd) + b"\n" + good + b'{"torn', "aaaa", 10)
    assert [(one.place, one.value) for one in found] == [(10 + len(odd), "n")]


def test_pruned_parcels_are_united_and_an_undo_brings_them_back():
    def op(clock, kind, value, writer="a", run="r1"):
        return Op(clock, writer, clock, f"{writer}{clock}", run, kind, value, float(clock), "Ann")

    ops = [op(1, "pruned", ["p1", "p2"]), op(2, "pruned", ["p2", "p3"], "b"), op(3, "pruned", ["p9"], run="r2")]
    found = annotations.pruned(ops)
    assert {run: sorted(parcels) for run, parcels in found.items()} == {"r1": ["p1", "p2", "p3"], "r2": ["p9"]}
    assert found["r1"]["p2"].when == 1.0
    undone = annotations.pruned([*ops, op(4, "undo", ["a1"])])
    assert {run: sorted(parcels) for run, parcels in undone.items()} == {"r1": ["p2", "p3"], "r2": ["p9"]}


def test_what_was_purged_is_united_and_no_undo_reaches_it() -> None:
    ops = [
        op("purged", ["a" * 40], 1, "aaaa", "p1"),
        op("purged", ["b" * 40], 1, "bbbb", "p2"),
        op("undo", ["p1", "p2"], 2, "aaaa", "u"),
        op("purged", ["c" * 40], 3, "aaaa", "p3", OTHER),
        op("note", "x", 1, "0000", "p3", OTHER),  # an operation of the same id that comes first hides nothing
    ]
    assert annotations.purged(ops) == {RUN: {"a" * 40, "b" * 40}, OTHER: {"c" * 40}}
    assert [one.id for one in annotations.standing(ops) if one.op == "purged"] == ["p1", "p2"]


def test_tombstones_forbid_a_run_at_any_cut_and_an_object_under_any_name() -> None:
    stones = annotations.tombstones([op("purged", ["a" * 40])])
    assert stones.forbid(f"refs/track/runs/00/{RUN}", "f" * 40)
    assert stones.forbid("refs/track/code/aa/" + "a" * 40, "a" * 40)
    assert stones.forbid("refs/heads/rescued", "a" * 40)
    assert not stones.forbid(f"refs/track/runs/11/{OTHER}", "f" * 40)
    assert not stones.forbid("refs/track/log/aaaa", None)


def test_a_run_is_deleted_until_that_is_taken_back() -> None:
    ops = [op("deleted", True, 1, op_id="d1"), op("deleted", True, 1, op_id="d2", run=OTHER)]
    assert annotations.deleted(ops) == {RUN, OTHER}
    back = [op("undo", ["d1"], 2, op_id="u"), op("deleted", False, 2, op_id="d3", run=OTHER)]
    assert annotations.deleted([*ops, *back]) == set()


def test_a_tombstone_names_runs_and_objects_and_nothing_else() -> None:
    odd = [op("purged", ["refs/heads/main", "", "A" * 40, "a" * 41, "f" * 64]), op("purged", ["a" * 40], run="src")]
    assert annotations.tombstones(odd) == ({RUN}, {"f" * 64})
