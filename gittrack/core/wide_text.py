"""Text in UTF-16 or UTF-32, which git takes for binary and a search for secrets would pass over.

Windows programs write it: exported settings, output of PowerShell. Without a mark at its beginning it is told by where
its zeros are, since most of what has secrets in it is ASCII.
"""

_MARKS = (  # the longer ones first: that of UTF-16 begins one of them
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_PROBE = 8000  # bytes
_MOST = 0.9  # of the upper bytes are zero in what is taken for text without a mark, and next to none of the lower ones
_LEAST = 0.02


def utf8(data: bytes) -> bytes | None:
    """`data` in UTF-8, where it is such text."""
    encoding = _encoding(data)
    if encoding is None:
        return None
    return data.decode(encoding, "replace").encode("utf-8", "replace").removeprefix(b"\xef\xbb\xbf")


def _encoding(data: bytes) -> str | None:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    head = data[: min(_PROBE, len(data) // 2 * 2)]
    zeros = [half.count(0) / max(1, len(half)) for half in (head[::2], head[1::2])]
    if zeros[1] >= _MOST and zeros[0] <= _LEAST:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] >= _MOST and zeros[1] <= _LEAST else None
