"""Which checkpoints keep their files."""

import math

from gittrack.core.keep import Moment, let_go

LOSSES = [Moment(f"p{n}", value) for n, value in enumerate([5.0, 1.0, 3.0, 1.0, math.nan, 2.0, 9.0])]


def kept(policy, goal="minimize", moments=LOSSES):
    gone = let_go(moments, policy, goal)
    return [int(moment.parcel[1:]) for moment in moments if moment.parcel not in gone]


def test_the_latest_is_always_kept():
    assert kept({"best": 1}) == [1, 6]
    assert kept({"latest": 0}) == [6]
    assert kept({"latest": 3}) == [4, 5, 6]


def test_of_equal_values_the_earlier_is_better_and_what_is_no_number_never():
    assert kept({"best": 1}) == [1, 6]
    assert kept({"best": 2}) == [1, 3, 6]
    assert kept({"best": 2}, "maximize") == [0, 6]
    assert kept({"best": 99}) == [0, 1, 2, 3, 5, 6]


def test_every_keeps_each_nth():
    assert kept({"every": 3}) == [2, 5, 6]
    assert kept({"every": 1}) == list(range(7))


def test_what_is_kept_is_the_union():
    assert kept({"best": 1, "every": 5, "latest": 1}) == [1, 4, 6]


def test_without_a_policy_or_a_way_to_tell_the_best_all_stay():
    assert kept({}) == list(range(7))
    assert kept({"best": 2}, None) == list(range(7))
    nothing = [Moment(f"p{n}") for n in range(3)]
    assert kept({"best": 2}, moments=nothing) == [0, 1, 2]
    assert let_go([], {"best": 1}, "minimize") == []


def test_a_parcel_that_is_named_twice_stays_when_one_of_its_moments_does():
    moments = [Moment("a", 0.1), Moment("b", 0.2), Moment("a", 0.3)]
    assert let_go(moments, {"latest": 1}) == ["b"]
    assert let_go([*moments, Moment("c"), Moment("b")], {"latest": 1}) == ["a", "c"]
