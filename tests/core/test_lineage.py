"""The forest of runs: which came from which, drawn."""

import random
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from gittrack.core import lineage


def run(name, origin=None, continues=None, parent=None, created=0.0, step=None):
    return SimpleNamespace(
        id=name,
        created=created,
        continues={"run": continues, "step": step} if continues else None,
        origin={"run": origin, "step": step, "how": "checkout"} if origin else None,
        parent=parent,
    )


def drawn(*rows, wanted=lambda _: True):
    found = lineage.forest(rows)
    return [node.prefix + node.id for node in lineage.drawn(found, found.roots, wanted)]


def test_one_line_of_descent_is_one_column():
    assert drawn(run("a"), run("b", "a"), run("c", "b")) == ["● a", "● b", "● c"]


def test_smaller_branches_stand_beside_and_before_the_largest():
    rows = [run("a"), run("b", "a", created=1), run("c", "a", created=2), run("d", "c"), run("e", "a", created=3)]
    assert drawn(*rows) == ["● a", "├─● b", "├─● e", "● c", "● d"]


def test_a_branch_beside_goes_on_in_its_own_column():
    rows = [run("a"), *(run(f"m{n}", f"m{n - 1}" if n else "a") for n in range(5)), run("x", "a"), run("y", "x")]
    assert drawn(*rows) == ["● a", "├─● x", "│ ● y", "● m0", "● m1", "● m2", "● m3", "● m4"]


def test_what_a_run_resumes_counts_before_what_it_started_from():
    found = lineage.forest([run("a"), run("b"), run("c", origin="a", continues="b", parent="a", step=7)])
    assert found.above["c"] == lineage.Link("b", 7, "resume")
    assert [one.how for one in found.links["c"]] == ["resume", "checkout", "started"]


def test_a_run_that_is_not_here_is_in_the_picture():
    assert drawn(run("b", "gone"), run("c", "gone")) == ["● gone", "├─● c", "● b"]


def test_runs_that_name_themselves_or_each_other_are_drawn_once():
    assert drawn(run("a", "a")) == ["● a"]
    assert drawn(run("a", "b"), run("b", "c"), run("c", "a")) == ["● a", "● c", "● b"]
    lines = drawn(run("c", "b"), run("b", "a"), run("a", "c"), run("d", "b"))
    assert sorted(line[-1] for line in lines) == ["a", "b", "c", "d"]


def test_only_branches_with_wanted_runs_are_drawn():
    rows = [run("a"), run("b", "a"), run("c", "b"), run("d", "a"), run("e", "d")]
    assert drawn(*rows, wanted={"c"}.__contains__) == ["● a", "● b", "● c"]


def test_what_is_around_a_run_are_its_ancestors_and_descendants():
    rows = [run("a"), run("b", "a"), run("c", "b"), run("d", "a"), run("e", "b"), run("f")]
    assert lineage.around(lineage.forest(rows), "b") == {"a", "b", "c", "e"}


def test_ten_thousand_resumed_runs_are_a_line_and_no_stack_overflows():
    lines = drawn(*(run(f"{n:05}", f"{n - 1:05}" if n else None) for n in range(10_000)))
    assert lines == [f"● {n:05}" for n in range(10_000)]


def test_a_picture_of_ten_thousand_runs_is_narrow():
    rng = random.Random(4)
    rows = [run(f"{n:05}", f"{rng.randrange(max(0, n - 40), n):05}" if n else None, created=n) for n in range(10_000)]
    found = lineage.forest(rows)
    nodes = list(lineage.drawn(found, found.roots, lambda _: True))
    assert len(nodes) == 10_000
    assert max(len(node.prefix) for node in nodes) <= 2 * 14 + 4


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 14)), max_size=30))
def test_whatever_records_say_each_run_is_drawn_exactly_once_under_what_it_came_from(said):
    rows = {f"r{child}": run(f"r{child}", f"r{above}") for child, above in said}
    found = lineage.forest(rows.values())
    nodes = list(lineage.drawn(found, found.roots, lambda _: True))
    ids = [node.id for node in nodes]
    said_to_be = {row.origin["run"] for row in rows.values() if row.origin["run"] != row.id}
    assert {*rows} <= {*ids} <= {*rows} | said_to_be
    assert len(ids) == len({*ids})
    for node in nodes:
        if node.link:
            assert ids.index(node.link.run) < ids.index(node.id)


def test_values_that_are_no_names_are_passed_over():
    odd = SimpleNamespace(id="a", created=None, continues={"run": 7}, origin={"run": None}, parent=["x"])
    assert lineage.links_of(odd) == []
