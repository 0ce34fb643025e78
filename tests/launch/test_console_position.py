"""Where a console was read to is found again: nothing is left out, nothing comes twice, whatever the clock did."""

import random

import pytest

from gittrack.launch.engine.position import Position

Entry = tuple[int, bytes, bytes]


def stamp(seconds: float) -> bytes:
    return f"2026-01-02T03:{int(seconds) // 60:02}:{seconds % 60:012.9f}Z".encode()


def log(moments: list[float], seed: int = 1) -> list[Entry]:
    """An entry for each moment, of either output."""
    chance = random.Random(seed)
    return [(chance.choice((1, 2)), stamp(each), b"%d\n" % number) for number, each in enumerate(moments)]


def read_in_pieces(entries: list[Entry], cuts: list[int], tail: int | None = None) -> list[bytes]:
    """What somebody sees whose connection breaks after so many new entries, each time."""
    position, seen = Position(tail), []
    for cut in [*cuts, len(entries)]:
        asked = position.query
        given = entries[-int(asked["tail"]) :] if isinstance(asked.get("tail"), int) and asked["tail"] else entries
        for number, (_, data) in enumerate(position.rest(given)):
            seen.append(data)
            if number + 1 == cut:
                break
    return seen


@pytest.mark.parametrize("seed", range(20))
def test_a_console_that_is_read_across_cuts_is_the_whole_console(seed: int) -> None:
    chance = random.Random(seed)
    # Lines that are longer than the engine's buffer are several entries of one moment.
    moments = sorted(chance.choice((1.0, 2.0, 3.5)) + chance.choice((0, 0.000000001)) for _ in range(30))
    entries = log(moments, seed)
    cuts = [chance.randrange(1, 6) for _ in range(5)]
    assert read_in_pieces(entries, cuts) == [data for _, _, data in entries]


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_clock_that_is_set_back_after_the_cut_loses_no_line(cut: int) -> None:
    entries = log([10, 11, 12, 13, 14, 3, 4, 5, 6])
    assert read_in_pieces(entries, [cut]) == [data for _, _, data in entries]


def test_what_both_outputs_print_at_once_may_be_in_another_order() -> None:
    entries = [(1, stamp(2), b"a\n"), (2, stamp(1), b"b\n"), (1, stamp(3), b"c\n")]
    assert read_in_pieces(entries, [1]) == [b"a\n", b"b\n", b"c\n"]


def test_who_wanted_the_last_lines_gets_none_from_before_them() -> None:
    entries = [
        (2, stamp(1), b"old\n"),
        (1, stamp(2), b"old\n"),
        (1, stamp(3), b"x\n"),
        (1, stamp(4), b"y\n"),
        (2, stamp(5), b"z\n"),
    ]
    position = Position(2)
    assert position.query == {"tail": 2}
    assert [data for _, data in position.rest(entries[2:4])] == [b"x\n", b"y\n"]  # the last two at that time
    assert "tail" not in position.query
    assert [data for _, data in position.rest(entries)] == [b"z\n"]


def test_a_log_of_which_the_place_was_thrown_away_goes_on_with_what_is_later() -> None:
    position = Position()
    list(position.rest(log([1, 2, 3])))
    assert [data for _, data in position.rest([(1, stamp(8), b"later\n"), (2, stamp(9), b"x\n")])] == [
        b"later\n",
        b"x\n",
    ]


def test_only_what_may_be_new_is_asked_for() -> None:
    position = Position()
    list(position.rest([(1, b"2026-01-02T03:04:05.5Z", b"x\n")]))
    assert position.query == {"since": "1767319445.500000000"}
    list(position.rest([(2, b"nonsense", b"x\n")]))
    assert position.query == {}


@pytest.mark.parametrize("size", [16_384, 16_385, 20_000, 32_768, 40_000])
def test_the_ends_of_long_lines_that_an_engine_loses_are_put_back(size: int) -> None:
    pieces = [b"a" * min(16_384, size - at) for at in range(0, size, 16_384)] + [b""] * (size % 16_384 == 0)
    long: list[Entry] = [(1, stamp(1), piece) for piece in pieces]
    entries = [*long, (2, stamp(1.5), b"err\n"), (1, stamp(2), b"b\n"), (1, stamp(3), b"c\n")]
    for cut in range(len(entries)):
        seen = b"".join(read_in_pieces(entries, [cut + 1]))
        assert seen.replace(b"err\n", b"") == b"a" * size + b"\nb\nc\n"
    assert b"".join(read_in_pieces(long, [])) == b"a" * size  # perhaps there was none
