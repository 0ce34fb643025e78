"""Text that git takes for binary is read as text; what only looks a little like it is not."""

import os

import pytest

from gittrack.core import wide_text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", ["key = 'x'\r\nname = 'Müller'\r\n", "x\n" * 9000])
def test_text_in_wide_characters_is_read(encoding, text):
    assert wide_text.utf8(text.encode(encoding)) == text.encode()


def test_text_that_a_crash_has_cut_is_read_as_far_as_it_goes():
    cut = wide_text.utf8("secret\n".encode("utf-16") + b"\x41")
    assert cut is not None and cut.startswith(b"secret\n")


@pytest.mark.parametrize(
    "data", [b"", b"x", b"plain text\n", bytes(10_000), os.urandom(10_000), b"\x7fELF" + bytes(100) + b"abc" * 50]
)
def test_other_content_is_none(data):
    found = wide_text.utf8(data)
    assert found is None or data.startswith((b"\xff\xfe", b"\xfe\xff"))
