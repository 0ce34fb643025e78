"""Answers of an engine as bytes and events: whatever it says, only so much of it is ever in memory.

They are read by http.client, which limits each line of the protocol; what reads them else takes a line of any length.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import requests

MOST = 64 << 20  # bytes of an answer; ten thousand containers are described in 20 MB
MOST_EVENT = 1 << 20  # bytes of one line that a pull, a push or a build tells; the engine's are some 32 KiB at most
_PIECE = 1 << 16


def whole(answer: requests.Response) -> bytes:
    """All of it; its connection may be used again. Raises requests.RequestException where it does not end."""
    found = bytearray()
    reader: Any = answer.raw._original_response
    while piece := reader.read(_PIECE):
        found += piece
        if len(found) > MOST:
            answer.close()
            raise requests.exceptions.ContentDecodingError(f"an answer of more than {MOST:,} bytes")
    reader.close()
    answer.raw.release_conn()
    return bytes(found)


def pieces(answer: requests.Response) -> Iterator[bytes]:
    """What there is of it, as soon as it comes. Closing the generator hangs up."""
    try:
        while piece := answer.raw._original_response.read1(_PIECE):
            yield piece
    finally:
        answer.close()


def events(parts: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """What is told line by line. Raises ValueError, RecursionError for what is no event."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from map(_event, filter(bytes.strip, lines))
        if len(rest) > MOST_EVENT:
            raise ValueError(f"a line of more than {MOST_EVENT:,} bytes")
    if rest.strip():
        yield _event(rest)


def _event(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"an event that is no object: {str(found)[:80]}")
    return found
