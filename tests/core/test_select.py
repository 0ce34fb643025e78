import pytest

from gittrack import errors
from gittrack.core import layout
from gittrack.core.select import Selector, parse_selector, validate_name

ID = "0123456789abcdef4321"


def kinds(text: str) -> list[tuple[str, str, str | int | None]]:
    return [(reading.kind, reading.text, reading.point) for reading in parse_selector(text)]


def test_four_hex_digits_are_an_id_prefix_first_and_a_name_second() -> None:
    assert kinds("7C21") == [("prefix", "7c21", None), ("name", "7C21", None)]


def test_three_hex_digits_are_a_name() -> None:
    assert kinds("7c2") == [("name", "7c2", None)]


def test_more_digits_than_an_id_has_are_a_name() -> None:
    assert kinds("a" * 40) == [("name", "a" * 40, None)]


def test_a_full_ref_name_is_its_id() -> None:
    assert kinds(layout.run_ref(ID)) == [("prefix", ID, None)]
    assert kinds(layout.run_ref(ID) + "@3")[0] == ("prefix", ID, 3)


def test_a_ref_in_the_wrong_shard_is_no_id() -> None:
    assert kinds(f"refs/track/runs/00/{ID}") == [("name", f"refs/track/runs/00/{ID}", None)]


def test_latest_counts_back() -> None:
    assert parse_selector("latest") == [Selector("latest", "", 0, None, None)]
    assert parse_selector("latest~12@best")[0] == Selector("latest", "", 12, None, "best")


def test_best_takes_a_metric_with_slashes_and_colons() -> None:
    assert parse_selector("best") == [Selector("best", "", 0, None, None)]
    assert parse_selector("best:val/acc:top5") == [Selector("best", "", 0, "val/acc:top5", None)]


def test_an_at_sign_in_a_metric_is_read_as_the_metric_first() -> None:
    assert parse_selector("best:map@50") == [
        Selector("best", "", 0, "map@50", None),
        Selector("best", "", 0, "map", 50),
    ]


@pytest.mark.parametrize(
    ("text", "point"), [("base@10", 10), ("base@-1", -1), ("base@best", "best"), ("b@latest", "latest")]
)
def test_what_follows_the_last_at_sign_is_a_checkpoint(text: str, point: object) -> None:
    assert parse_selector(text)[0].point == point


def test_a_tail_that_is_no_step_belongs_to_the_name() -> None:
    assert kinds("ann@example.org") == [("name", "ann@example.org", None)]


def test_an_empty_selector_is_wrong_use() -> None:
    with pytest.raises(errors.UsageError):
        parse_selector("  ")


@pytest.mark.parametrize(
    "name", ["base", "größer", "实验", "run 2", "abc", "v1.0", "latest-ish", "bester", "cafe-1", "a:b"]
)
def test_ordinary_names_are_taken(name: str) -> None:
    assert validate_name(name) == name
    assert parse_selector(name)[0].kind == "name"


@pytest.mark.parametrize(
    "name",
    ["", " a", "a ", "a\nb", "cafe", "DEAD", "2024", "1" * 40, "latest", "latest~1", "best", "best:loss", "a@3", "-x",
     "refs/x", "x" * 201, "\x1b[31m"],
)  # fmt: skip
def test_names_that_could_be_read_as_something_else_are_refused_with_a_hint(name: str) -> None:
    with pytest.raises(errors.UsageError) as raised:
        validate_name(name)
    assert raised.value.hint
