"""Deltas for versions that follow each other: what a long run writes again and again differs in one place.

A checkpoint changes a line of a segment, an object id in a tree, a number in a summary. So one kind of delta is enough:
a common start, something new, a common end. Encoding: gitformat-pack(5), "Deltified representation".
"""

DEPTH = 50  # git's own default for pack.depth: reading a version resolves at most so many others
_COPY = 0xFFFF  # bytes one copy instruction takes here; git allows 24 bits, older readers 16
_INSERT = 127


def encode(base: bytes, target: bytes) -> bytes:
    """Instructions that make `target` out of `base`."""
    start = _common(base, target, min(len(base), len(target)))
    rest = min(len(base), len(target)) - start
    end = _common_end(base, target, rest)
    out = bytearray(_size(len(base)) + _size(len(target)))
    _copy(out, 0, start)
    for at in range(start, len(target) - end, _INSERT):
        piece = target[at : min(at + _INSERT, len(target) - end)]
        out.append(len(piece))
        out += piece
    _copy(out, len(base) - end, end)
    return bytes(out)


def _common(a: bytes, b: bytes, most: int) -> int:
    """Length of the common start: halved again and again, because comparing slices is done in C."""
    low = 0
    while low < most:
        middle = (low + most + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            most = middle - 1
    return low


def _common_end(a: bytes, b: bytes, most: int) -> int:
    low = 0
    while low < most:
        middle = (low + most + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            most = middle - 1
    return low


def _copy(out: bytearray, offset: int, size: int) -> None:
    while size:
        count = min(size, _COPY)
        code, operands = 0x80, bytearray()
        for bit, byte in enumerate((*offset.to_bytes(4, "little"), *count.to_bytes(2, "little"))):
            if byte:
                code |= 1 << bit
                operands.append(byte)
        out.append(code)
        out += operands
        offset += count
        size -= count


def _size(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
