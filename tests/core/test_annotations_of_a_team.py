"""Writers who annotate the same runs without knowing of each other, and what everybody sees when all logs are there.

The model below is the rules of docs/format.md §7 told a second time, as plainly as can be: per run and kind, from what
each writer had seen when he spoke.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import event, given
from hypothesis import strategies as st

from gittrack.core import annotations
from gittrack.core.annotations import Given, Op, State

RUNS = ("0" * 20, "1" * 20, "2" * 20)
WRITERS = ("a" * 16, "b" * 16, "c" * 16, "d" * 16)
EXPERIMENTS = {RUNS[0]: "e", RUNS[1]: "e", RUNS[2]: None}
GIVEN = Given("at the start", ("x", "y"), "first")
YEARS = st.sampled_from([-3.0e9, 0.0, 1.0, 1.7e9, 9.9e10])  # wall clocks: before the epoch, right, in the year 5107


class Action(NamedTuple):
    """What somebody does. Of `pull` the other writers, of `undo` which of his own operations."""

    who: str
    kind: str
    run: str
    value: Any


class Team:
    """Clones: each has its own log and what it has fetched of the others', always the beginning of a log."""

    def __init__(self) -> None:
        self.logs: dict[str, list[bytes]] = {who: [] for who in WRITERS}
        self.seen: dict[str, dict[str, int]] = {who: dict.fromkeys(WRITERS, 0) for who in WRITERS}
        self.ids = itertools.count()

    def ops(self, who: str) -> list[Op]:
        return self.read({writer: self.logs[writer][:count] for writer, count in self.seen[who].items()})

    def everything(self) -> list[Op]:
        return self.read(self.logs)

    @staticmethod
    def read(logs: Mapping[str, Sequence[bytes]]) -> list[Op]:
        return [op for writer, lines in logs.items() for op in annotations.parse(b"".join(lines), writer)]

    def act(self, action: Action, wall: float) -> None:
        who, kind, run, value = action
        if kind == "pull":
            known = self.seen[who]
            for writer in value:
                known[writer] = max(known[writer], len(self.logs[writer]))
            return
        ops = self.ops(who)
        if kind == "untag":
            value = list(annotations.fold(GIVEN, [op for op in ops if op.run == run]).tags.get(value, ()))
        elif kind == "undo":
            own = [op for op in ops if op.writer == who and op.run == run]
            value = [own[value % len(own)].id] if own else []
        if kind in ("untag", "undo") and not value:
            return
        clock = 1 + max((op.clock for op in ops), default=0)
        op = Op(clock, who, 0, f"{next(self.ids):016x}", run, kind, value, wall, f"{who[0]} <{who[0]}@example.org>")
        self.logs[who].append(annotations.line(op))
        self.seen[who][who] = len(self.logs[who])


KINDS = st.one_of(
    st.tuples(st.just("pull"), st.lists(st.sampled_from(WRITERS), min_size=1, unique=True)),
    st.tuples(st.sampled_from(["tag", "untag"]), st.sampled_from(["x", "y", "good"])),
    st.tuples(st.just("note"), st.text(max_size=3)),
    st.tuples(st.just("name"), st.sampled_from([None, "a", "b"])),
    st.tuples(st.sampled_from(["baseline", "archived", "deleted"]), st.booleans()),
    st.tuples(st.just("pruned"), st.lists(st.sampled_from(["p1", "p2"]), min_size=1, unique=True)),
    st.tuples(st.just("purged"), st.lists(st.sampled_from(["1" * 40, "2" * 40]), min_size=1, unique=True)),
    st.tuples(st.just("undo"), st.integers(0, 9)),
)
ACTIONS = st.builds(
    lambda who, run, what: Action(who, what[0], run, what[1]), st.sampled_from(WRITERS), st.sampled_from(RUNS), KINDS
)
STORIES = st.lists(st.tuples(ACTIONS, YEARS), max_size=40)


def team_of(story: Iterable[tuple[Action, float]]) -> Team:
    team = Team()
    for action, wall in story:
        team.act(action, wall)
    return team


def table(ops: Sequence[Op]) -> tuple[Any, ...]:
    """All that anybody can see of what was said."""
    states = {run: annotations.fold(GIVEN, [op for op in ops if op.run == run]) for run in RUNS}
    pruned = {run: sorted(parcels) for run, parcels in annotations.pruned(ops).items()}
    return states, annotations.baselines(ops, EXPERIMENTS), annotations.purged(ops), pruned


def model(ops: Sequence[Op], run: str) -> State:
    """The same state of one run, told plainly."""
    once = {}
    for op in sorted((op for op in ops if op.run == run), key=lambda op: (op.clock, op.writer, op.place)):
        once.setdefault(op.id, op)
    order = list(once.values())
    stands: list[Op] = []
    for at in range(len(order) - 1, -1, -1):
        if not any(later.op == "undo" and order[at].id in later.value for later in stands):
            stands.insert(0, order[at])
    last = {kind: [op.value for op in stands if op.op == kind] for kind in ("name", "deleted", "archived")}
    taken = {tag for op in stands if op.op == "untag" for tag in op.value}
    held: dict[str, list[str]] = {tag: [f"start:{tag}"] for tag in GIVEN.tags}
    for op in stands:
        if op.op == "tag":
            held.setdefault(op.value, []).append(op.id)
    left = {tag: tuple(one for one in ids if one not in taken) for tag, ids in held.items()}
    return State(
        last["name"][-1] if last["name"] else GIVEN.name,
        {tag: ids for tag, ids in left.items() if ids},
        ("first", *(op.value for op in stands if op.op == "note")),
        bool(last["deleted"] and last["deleted"][-1]),
        bool(last["archived"] and last["archived"][-1]),
    )


@given(STORIES, st.data())
def test_all_see_the_same_once_all_have_all_logs_in_whatever_order_they_came(
    story: list[tuple[Action, float]], data: st.DataObject
) -> None:
    team = team_of(story)
    want = table(team.everything())
    for who in WRITERS:
        for writer in data.draw(st.permutations(WRITERS)):  # some parts first, then all, some of it twice
            team.act(Action(who, "pull", RUNS[0], [writer]), 0.0)
        team.act(Action(who, "pull", RUNS[0], WRITERS), 0.0)
        assert table(team.ops(who)) == want
    ops = team.everything()
    again = data.draw(st.lists(st.sampled_from(ops), max_size=5)) if ops else []
    assert table(data.draw(st.permutations([*ops, *again]))) == want
    event(f"{len(ops) // 5 * 5}+ operations")


@given(STORIES)
def test_wall_clocks_have_no_say_in_the_outcome(story: list[tuple[Action, float]]) -> None:
    right = team_of((action, float(at)) for at, (action, _) in enumerate(story))
    assert table(right.everything()) == table(team_of(story).everything())


@given(STORIES)
def test_the_state_is_what_the_rules_say_when_they_are_told_plainly(story: list[tuple[Action, float]]) -> None:
    ops = team_of(story).everything()
    for run in RUNS:
        assert annotations.fold(GIVEN, [op for op in ops if op.run == run]) == model(ops, run)


@given(STORIES, st.data())
def test_a_tag_that_was_not_seen_is_not_taken_away(story: list[tuple[Action, float]], data: st.DataObject) -> None:
    """Add wins: of two who tag and untag without knowing of each other, the tag stays."""
    team = team_of(story)
    adds, removes = data.draw(st.permutations(WRITERS))[:2]
    team.act(Action(adds, "tag", RUNS[0], "good"), 0.0)
    team.act(Action(removes, "untag", RUNS[0], "good"), 9e9)
    assert "good" in annotations.fold(GIVEN, [op for op in team.everything() if op.run == RUNS[0]]).tags


@given(STORIES, st.data())
def test_what_somebody_says_knowing_of_all_the_others_is_what_holds(
    story: list[tuple[Action, float]], data: st.DataObject
) -> None:
    """Last writer wins, and the last one is who has seen all the others, whatever his watch says."""
    team = team_of(story)
    who = data.draw(st.sampled_from(WRITERS))
    team.act(Action(who, "pull", RUNS[0], WRITERS), 0.0)
    team.act(Action(who, "name", RUNS[0], "mine"), -3e9)
    team.act(Action(who, "deleted", RUNS[0], True), -3e9)
    team.act(Action(who, "baseline", RUNS[0], True), -3e9)
    ops = team.everything()
    state = annotations.fold(GIVEN, [op for op in ops if op.run == RUNS[0]])
    assert (state.name, state.deleted) == ("mine", True)
    assert RUNS[0] in annotations.baselines(ops, EXPERIMENTS)
    assert RUNS[1] not in annotations.baselines(ops, EXPERIMENTS)


@given(STORIES, st.data())
def test_an_operation_that_came_into_two_logs_counts_once(
    story: list[tuple[Action, float]], data: st.DataObject
) -> None:
    """A restored backup went on under a new id, and took along what it had said."""
    team = team_of(story)
    who = data.draw(st.sampled_from(WRITERS))
    copied = annotations.parse(b"".join(team.logs[who]), "e" * 16)
    assert table([*team.everything(), *copied]) == table(team.everything())
