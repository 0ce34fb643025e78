"""Cutting files into chunks: the one door of pyfastcdc.

Tensors are cut where they begin and end (`spans`), what lies between two such cuts by its content (FastCDC), so that
bytes that move are found again. The parameters are part of what deduplicates: with others, the next version of a file
shares nothing with the chunks that are stored. Whoever reassembles needs none of this.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import pyfastcdc

from gittrack.store.spans import spans

AVERAGE, LEAST, MOST = 1024 * 1024, 256 * 1024, 4 * 1024 * 1024
WINDOW = 2 * MOST


class Piece(NamedTuple):
    """A chunk of the file that is being read. `data` is valid until the next piece is asked for."""

    data: memoryview
    last: bool


class Window(NamedTuple):
    """Bytes just read, valid until a piece is asked for after the next window."""

    data: memoryview


def cut(file: BinaryIO, size: int, index: BinaryIO | None = None) -> Iterator[Window | Piece]:
    """Read a file once, from its start to its end: each stretch as it is read, then the chunks that end in it.

    `size` is what the file is believed to have; what is read counts. Holds two windows, whatever the size. Where its
    tensors lie is read from `index`, if `file` can only be read in order.
    """
    cutter = pyfastcdc.FastCDC(AVERAGE, min_size=LEAST, max_size=MOST)
    borders = iter([*(spans(index or file, size) if size > LEAST else ()), 0])
    border = next(borders)
    if index is None:
        file.seek(0)
    buffers = [memoryview(bytearray(min(WINDOW, size + 1))) for _ in range(2)]
    start = held = offset = 0  # in the window: the next chunk, the end of what was read. In the file: the next chunk
    ended = False
    while True:
        buffer = buffers[0]
        read = _fill(file, buffer[held:])
        ended = held + read < len(buffer)
        yield Window(buffer[held : held + read])
        held += read
        while start < held and (ended or held - start >= MOST):
            while border and border <= offset:
                border = next(borders)
            end = min(held, start + MOST, start + border - offset if border else held)
            length = next(iter(cutter.cut_buf(buffer[start:end]))).length
            yield Piece(buffer[start : start + length], ended and start + length == held)
            start += length
            offset += length
        if ended:
            return
        buffers.reverse()
        if len(buffers[0]) < WINDOW:  # the file grew
            buffers[0] = memoryview(bytearray(WINDOW))
        buffers[0][: held - start] = buffer[start:held]
        start, held = 0, held - start


def _fill(file: BinaryIO, buffer: memoryview) -> int:
    """Read until `buffer` is full or the file ends; how much that was."""
    done = 0
    while done < len(buffer):
        count = file.readinto(buffer[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done
