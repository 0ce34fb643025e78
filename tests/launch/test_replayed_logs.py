"""What an engine tells twice while its log is followed is shown once, and nothing is taken for that which is not."""

import random

import pytest

from gittrack.launch.engine import replayed
from gittrack.launch.engine.position import Position

Entry = tuple[int, bytes, bytes]
PIECE = 1 << 14


def stamp(number: int) -> bytes:
    return f"2026-01-02T03:04:05.{number:09}Z".encode()


def shown(entries: list[Entry]) -> list[bytes]:
    return [data for _, data in Position().rest(entries)]


def long_line(size: int, seed: int = 1) -> list[Entry]:
    chance = random.Random(seed)
    return [(1, stamp(1), chance.randbytes(8) * (PIECE // 8)) for _ in range(size // PIECE)]


def again(entries: list[Entry], start: int, end: int) -> list[Entry]:
    """An engine that tells those from `start` on, of the first `end`, twice."""
    return [*entries[:end], *entries[start:end], *entries[end:]]


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayed, "_FILE", 0)


@pytest.mark.parametrize("told", [1, 2, 5, 300])
def test_lines_of_a_new_file_that_are_told_twice_are_shown_once(told: int, small_files: None) -> None:
    entries: list[Entry] = [(1 + number % 2, stamp(number), b"%d\n" % number) for number in range(1000)]
    assert shown(again(entries, 500, 500 + told)) == [each[2] for each in entries]


def test_a_clock_that_is_set_back_is_nothing_that_is_told_twice() -> None:
    entries: list[Entry] = [(1, stamp(number), b"same\n") for number in (10, 11, 12, 3, 4, 5, 13)]
    assert len(shown(entries)) == 7


@pytest.mark.parametrize("told", [1, 2, 116])
def test_pieces_of_a_long_line_that_are_told_twice_are_shown_once(told: int) -> None:
    entries = [*long_line(replayed._FILE + (8 << 20)), (1, stamp(2), b"after\n")]
    start = replayed._FILE // PIECE + 3
    assert shown(again(entries, start, start + told)) == [each[2] for each in entries]


def test_what_a_line_repeats_is_not_left_out() -> None:
    block = long_line(3 << 20)
    assert len(shown(block * 30)) == 30 * len(block)
    same: list[Entry] = [(1, stamp(1), b"x" * PIECE)] * 5000
    assert len(shown(same)) == 5000
    line = long_line(replayed._FILE + (4 << 20))
    line += [line[-20], line[-19], line[-3]]
    assert shown(line) == [each[2] for each in line]


def test_what_was_held_back_comes_when_it_is_asked_for_anew() -> None:
    line = long_line(replayed._FILE + (4 << 20))
    position = Position()
    first = [data for _, data in position.rest([*line, *line[-20:-10]])]
    more: list[Entry] = [(1, stamp(1), b"new\n"), (1, stamp(2), b"line\n")]
    assert first == [each[2] for each in line]
    assert [data for _, data in position.rest([*line, *more])] == [b"new\n", b"line\n"]


@pytest.mark.parametrize("seed", range(10))
def test_a_console_of_both_outputs_is_whole_however_often_files_are_full(seed: int, small_files: None) -> None:
    chance = random.Random(seed)
    entries: list[Entry] = [(chance.choice((1, 2)), stamp(number), b"%d\n" % number) for number in range(2000)]
    told: list[Entry] = []
    for start in range(0, 2000, 400):
        end = start + chance.randrange(400)
        told += [*entries[start:end], *entries[start : start + 400]]
    assert shown(told) == [each[2] for each in entries]
