"""Tables fit their terminal, and a pipe gets everything."""

from hypothesis import given
from hypothesis import strategies as st

from gittrack.cli import render

COLUMNS = [
    render.Column("id", ["abc", "def"]),
    render.Column("name", ["a rather long name of a run", "x"], keep=8),
    render.Column("lr", ["0.1", "0.25"], right=True, keep=3),
    render.Column("loss", ["1", "22"], right=True, keep=6),
]


def test_a_pipe_gets_aligned_text_without_colours_or_trailing_blanks():
    text, left_out = render.table([*COLUMNS[:3], render.Column("tags", ["t", ""])])
    assert text == (
        "id   name                           lr  tags\n"
        "abc  a rather long name of a run   0.1  t\n"
        "def  x                            0.25  \n"
    )
    assert left_out == []


def test_a_narrow_terminal_first_shrinks_text_then_drops_the_least_wanted_column():
    text, left_out = render.table(COLUMNS, room=30)
    assert "a rather…" in text or "a rathe" in text
    assert left_out == []
    text, left_out = render.table(COLUMNS, room=20)
    assert left_out == ["lr"]
    assert "loss" in text


def test_colours_do_not_move_columns():
    styled = [column._replace(style=lambda _: "red") for column in COLUMNS]
    coloured, _ = render.table(styled, colour=True)
    plain, _ = render.table(COLUMNS)
    for code in ("\033[1m", "\033[31m", "\033[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_wide_characters_take_two_places():
    assert render.width("ab") == 2
    assert render.width("学习") == 4
    assert render.width("e\u0301") == 1
    text, _ = render.table([render.Column("a", ["学习", "x"]), render.Column("b", ["1", "2"], right=True)])
    assert text == "a     b\n学习  1\nx     2\n"


cells = st.text(st.characters(categories=["L", "N", "P", "Mn"]), max_size=30)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5), st.integers(1, 90))
def test_no_line_is_wider_than_the_terminal_unless_one_column_must_be(rows, room):
    columns = [
        render.Column(title, list(texts), keep=keep)
        for title, texts, keep in zip(("id", "name", "x"), zip(*rows, strict=True), (8, 5, 3), strict=True)
    ]
    text, left_out = render.table(columns, room)
    if len(left_out) < 2:
        assert max(map(render.width, text.split("\n"))) <= room
    assert text.count("\n") == len(rows) + 1
