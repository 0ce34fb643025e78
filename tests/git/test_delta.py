"""git itself is the oracle: what it reads out of our deltas must be what went in."""

import itertools
import os
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.git import delta, objects, pack
from gittrack.git.command import Git
from gittrack.git.discover import discover


def apply(base, instructions):
    """The reader's side, from gitformat-pack(5)."""

    def size(at):
        value = shift = 0
        while True:
            byte = instructions[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                return value, at

    length, at = size(0)
    assert length == len(base)
    expected, at = size(at)
    out = b""
    while at < len(instructions):
        code = instructions[at]
        at += 1
        if code & 0x80:
            operands = []
            for bit in range(7):
                operands.append(instructions[at] if code >> bit & 1 else 0)
                at += code >> bit & 1
            offset = int.from_bytes(bytes(operands[:4]), "little")
            count = int.from_bytes(bytes(operands[4:]), "little") or 0x10000
            out += base[offset : offset + count]
        else:
            out += instructions[at : at + code]
            at += code
    assert len(out) == expected
    return out


PIECE = st.binary(max_size=300) | st.integers(0, 140_000).map(lambda count: b"ab" * (count // 2))


@settings(deadline=None)
@given(PIECE, PIECE, PIECE, PIECE)
def test_a_delta_gives_back_its_target(start, old, new, end):
    base, target = start + old + end, start + new + end
    assert apply(base, delta.encode(base, target)) == target


def test_a_delta_of_an_appended_line_is_little_more_than_the_line():
    base = b"".join(b"line %d\n" % number for number in range(1000))
    assert len(delta.encode(base, base + b"one more\n")) < 30


def test_git_reads_a_long_chain_of_versions_that_depend_on_each_other(repo, git):
    versions = [b"".join(b"%d\n" % line for line in range(number)) for number in range(300)]
    made = [objects.blob(data) for data in versions]
    bases = {after.oid: before.oid for before, after in itertools.pairwise(made)}
    whole = b"".join(pack.stream(made, "sha1"))
    assert len(b"".join(pack.stream(made, "sha1", bases))) < len(whole) / 5
    pack.install(Git(discover(str(repo), os.environ), os.environ), made, "sha1", bases)
    for blob in made[::37]:
        assert subprocess.check_output(["git", "-C", repo, "cat-file", "blob", blob.oid]) == blob.data
    assert git("fsck", "--strict", "--no-dangling") == ""
    chains = [int(line.split()[5]) for line in _verify(repo).splitlines() if len(line.split()) == 7]
    assert max(chains) == delta.DEPTH


def _verify(repo):
    index = next(path for path in (repo / ".git/objects/pack").iterdir() if path.suffix == ".idx")
    return subprocess.check_output(["git", "verify-pack", "-v", str(index)], text=True)
