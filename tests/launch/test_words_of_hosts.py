"""What a host says is shown in one line that drives no terminal."""

from gittrack.launch.link.words import MOST, shown


def test_it_is_one_line_without_what_drives_a_terminal() -> None:
    assert shown(b" one \n\n\x1b[31mtwo\xff\n") == "one; \ufffd[31mtwo\ufffd"
    assert shown("a\tb\r\n") == "a\ufffdb"
    assert shown(b"") == shown("\n") == ""


def test_of_much_the_end_is_shown_where_the_reason_is() -> None:
    long = shown(b"x" * 10_000 + b"\nthe reason")
    assert len(long) == MOST and long.startswith("\u2026x") and long.endswith("; the reason")
