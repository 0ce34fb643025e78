"""What stays of rewritten lines."""

import random

import pytest

from gittrack.core.console import LONGEST_LINE, Collapser, collapse


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"plain\nlines\n", b"plain\nlines\n"),
        (b"no end", b"no end"),
        (b"dos\r\nends\r\n", b"dos\nends\n"),
        (b"\r 10%\r 50%\r100%\n", b"100%\n"),
        (b"\r 10%\r 50%", b" 50%"),
        (b" 10%\r 50%\r", b" 50%"),
        (b"bar 3/3\r       \rdone\n", b"done\n"),
        (b"\x1b[32m 10%\x1b[0m\r\x1b[32m100%\x1b[0m\n", b"\x1b[32m100%\x1b[0m\n"),
        (b"a\n\rb 1\rb 2\nc\n", b"a\nb 2\nc\n"),
        (b"", b""),
    ],
)
def test_a_rewritten_line_keeps_its_last_state(written: bytes, kept: bytes) -> None:
    assert collapse(written) == kept


def test_bars_below_each_other_keep_one_line_each() -> None:
    frames = b"".join(b"\router %d\n\rinner %d\x1b[A" % (n, n) for n in range(50))
    assert collapse(frames + b"\n\n") == b"outer 49\ninner 49\n"


def test_a_live_table_keeps_its_last_frame() -> None:
    frame = b"epoch %d\nloss %d\n"
    written = frame % (0, 0) + b"".join(b"\x1b[2A" + b"\x1b[2Kepoch %d\n\x1b[2Kloss %d\n" % (n, n) for n in range(1, 9))
    assert collapse(written) == b"epoch 8\nloss 8\n"


def test_only_the_first_frame_of_a_live_table_may_stand_twice() -> None:
    collapser = Collapser()
    out = collapser.feed(b"epoch 0\n")  # gone before it could be known that the program comes back
    out += b"".join(collapser.feed(b"\x1b[1A\x1b[2Kepoch %d\n" % n) for n in range(1, 9))
    assert out + collapser.finish() == b"epoch 0\nepoch 8\n"


def test_pieces_of_any_size_give_the_same_text() -> None:
    chance = random.Random(7)
    text = b"start\n" + b"".join(b"\r%3d%%" % n for n in range(101)) + b"\nloss \x1b[31m0.1\x1b[0m\r\nend"
    for _ in range(200):
        collapser, out, rest = Collapser(), b"", text
        while rest:
            size = chance.randint(1, 9)
            out += collapser.feed(rest[:size])
            rest = rest[size:]
        assert out + collapser.finish() == collapse(text) == b"start\n100%\nloss \x1b[31m0.1\x1b[0m\nend"


def test_a_line_without_end_does_not_grow_in_memory() -> None:
    collapser = Collapser()
    out = b"".join(collapser.feed(b"x" * 1000) for _ in range(1000))
    assert len(out) > 1_000_000 - 2 * LONGEST_LINE
    assert len(out + collapser.finish()) == 1_000_000


def test_a_bar_that_never_ends_its_line_does_not_grow_in_memory() -> None:
    collapser = Collapser()
    assert all(collapser.feed(b"\r%050d" % n) == b"" for n in range(20_000))
    assert collapser.finish() == b"%050d" % 19_999
