"""What programs print reaches a terminal as text with colours: nothing else of it is obeyed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gittrack.compare.text import harmless

STYLE = re.compile("\x1b\\[[0-9;:]*m")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PARTS = [
    b"text", b"\n", b"\r\n", b"\r", b"\x1b[31m", b"\x1b[0m", b"\x1b[2J", b"\x1b]0;t\x07", b"\x1b", b"[1;2", b"m",
    b"\x9b1m", "é\u202e".encode(), b"\xc3", b"\x1bP", b"\x00",
]  # fmt: skip


def shown(*pieces: bytes) -> str:
    return b"".join(harmless(pieces)).decode()


@given(st.lists(st.sampled_from(PARTS)))
def test_nothing_but_styles_is_obeyed_and_pieces_make_no_difference(parts):
    whole = shown(b"".join(parts))
    assert not OBEYED.search(STYLE.sub("", whole))
    assert shown(*parts) == whole


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        (b"plain\n", "plain\n"),
        (b"a\tb\r\n", "a\tb\n"),
        (b"\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"),
        (b"\x1b[8mhidden", "\x1b[8mhidden\x1b[0m"),
        (b"over\rwritten", "over\\rwritten"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (b"\xff", "\ufffd"),
    ],
)
def test_what_is_shown(printed, seen):
    assert shown(printed) == seen
