from collections.abc import Callable

import builder
import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.git.repository import Repository
from gittrack.runs import selectors
from gittrack.runs.index import Index

Fresh = Callable[[], Index]
NOW = builder.T0 + 86400


@pytest.fixture
def index(store: Repository, fresh: Fresh) -> Index:
    """Five runs: 0 `base` with checkpoints, 1 and 2 both `twin`, 3 and 4 unnamed with ids that share five digits."""
    builder.write_runs(
        store,
        [
            builder.journal(0, {}, [0.5, 0.1, 0.4], checkpoints=True, name="base"),
            builder.journal(1, {}, [0.3], name="twin"),
            builder.journal(2, {}, [0.2, float("nan")], name="twin"),
            builder.journal(3, {}, [0.9], id="abcde" + "1" * 15),
            builder.journal(4, {}, [0.8], id="abcde" + "2" * 15),
        ],
    )
    return fresh()


def ids(number: int) -> str:
    return builder.run_id(number)


def chosen(index: Index, text: str, **more: object) -> str:
    return selectors.resolve(index, text, NOW, **more).id  # type: ignore[arg-type]


def test_a_run_is_selected_by_id_prefix_ref_and_name(index: Index) -> None:
    for text in (ids(0), ids(0)[:4], ids(0)[:7].upper(), layout.run_ref(ids(0)), "base"):
        assert chosen(index, text) == ids(0)


def test_latest_counts_back_from_the_newest(index: Index) -> None:
    assert chosen(index, "latest") == "abcde" + "2" * 15
    assert chosen(index, "latest~4") == ids(0)
    with pytest.raises(errors.RunNotFound, match="only 5"):
        chosen(index, "latest~5")


def test_best_goes_by_the_primary_metric_or_by_the_one_named(index: Index) -> None:
    assert chosen(index, "best") == ids(0)
    assert chosen(index, "best:loss") == ids(0)
    assert chosen(index, "best:val/acc", goals={"val/acc": "maximize"}) == ids(0)
    assert chosen(index, "best:val/acc", goals={"val/acc": "minimize"}) == "abcde" + "1" * 15


def test_best_without_a_goal_says_how_to_declare_one(index: Index) -> None:
    with pytest.raises(errors.UsageError) as raised:
        chosen(index, "best:val/acc")
    assert "goals: {val/acc: minimize}" in raised.value.hint


def test_best_of_an_unknown_metric_names_the_nearest(index: Index) -> None:
    with pytest.raises(errors.RunNotFound) as raised:
        chosen(index, "best:val/ac")
    assert "val/acc" in raised.value.hint


def test_a_step_best_and_latest_name_a_checkpoint(index: Index) -> None:
    steps = [
        selectors.resolve(index, text, NOW).step for text in ("base", "base@7", "base@best", "base@latest", "best@2")
    ]
    assert steps == [None, 7, 1, 2, 2]
    with pytest.raises(errors.RunNotFound, match="no best checkpoint"):
        chosen(index, "latest@best")


def test_an_ambiguous_prefix_lists_its_matches(index: Index) -> None:
    with pytest.raises(errors.AmbiguousSelector) as raised:
        chosen(index, "abcd")
    lines = raised.value.message.splitlines()
    assert lines[1:] == ["  abcde22  -  23 hours ago", "  abcde11  -  23 hours ago"]


def test_a_name_of_several_runs_is_ambiguous(index: Index) -> None:
    with pytest.raises(errors.AmbiguousSelector) as raised:
        chosen(index, "twin@3")
    assert ids(1)[:7] in raised.value.message
    assert ids(2)[:7] in raised.value.message


def test_a_mistyped_name_suggests_the_nearest(index: Index) -> None:
    with pytest.raises(errors.RunNotFound) as raised:
        chosen(index, "bse")
    assert raised.value.hint == "did you mean base?"


def test_an_empty_repository_says_how_to_begin(fresh: Fresh) -> None:
    for text in ("latest", "best", "base"):
        with pytest.raises(errors.GittrackError) as raised:
            chosen(fresh(), text)
        assert raised.value.hint


def test_an_old_name_that_looks_like_an_id_is_found_where_no_id_begins_so(store: Repository, fresh: Fresh) -> None:
    builder.write_runs(store, [builder.journal(9, {}, [], name="cafe")])
    assert chosen(fresh(), "cafe") == ids(9)


def test_a_metric_with_an_at_sign_is_a_metric_before_it_is_a_checkpoint(store: Repository, fresh: Fresh) -> None:
    more = [{"m": {"map@50": 0.5}, "s": 1, "t": 0, "w": 0}]
    builder.write_runs(store, [builder.journal(1, {}, [0.1]), builder.journal(2, {}, [0.2], more=more)])
    found = selectors.resolve(fresh(), "best:map@50", NOW, goals={"map@50": "maximize"})
    assert (found.id, found.step) == (ids(2), None)
    assert selectors.resolve(fresh(), "best:loss@50", NOW)[:2] == (ids(1), 50)


@pytest.mark.parametrize("text", ["abc", "ABC", "a", "abc@10", "abc@best"])
def test_a_beginning_that_is_too_short_is_said_to_be_so_with_what_it_may_mean(index: Index, text: str) -> None:
    with pytest.raises(errors.RunNotFound, match="at least 4 digits") as caught:
        chosen(index, text)
    assert "abcde22, abcde11" in caught.value.hint


def test_short_text_that_begins_no_id_is_only_not_found(index: Index) -> None:
    with pytest.raises(errors.RunNotFound, match="no run is called 'fff'"):
        chosen(index, "fff")
