"""Where files are cut: everywhere the same, at tensors, and never because of what a hostile file says."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
from itertools import accumulate

import pytest
from common import noise

from gittrack.store import chunker
from gittrack.store.spans import spans

MB = 1024 * 1024


def pieces(data: bytes, size: int | None = None, file: io.RawIOBase | None = None) -> list[bytes]:
    """The chunks of `data`; checks that the windows show all of it once, in order."""
    seen, found, lasts = [], [], []
    for part in chunker.cut(file or io.BytesIO(data), len(data) if size is None else size):
        if isinstance(part, chunker.Piece):
            found.append(bytes(part.data))
            lasts.append(part.last)
        else:
            seen.append(bytes(part.data))
    assert b"".join(seen) == b"".join(found) == data
    assert lasts == [False] * (len(found) - 1) + [True] * bool(found)
    return found


def cuts(data: bytes) -> list[int]:
    return list(accumulate(map(len, pieces(data))))


def shared(old: list[bytes], new: list[bytes]) -> float:
    """Which part of `new` is in `old` already."""
    known = set(old)
    return sum(len(piece) for piece in new if piece in known) / sum(map(len, new))


def safetensors(tensors: dict[str, bytes], **extra: object) -> bytes:
    index, place = dict(extra), 0
    for name, data in tensors.items():
        index[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [place, place + len(data)]}
        place += len(data)
    head = json.dumps(index).encode()
    return struct.pack("<Q", len(head)) + head + b"".join(tensors.values())


@pytest.mark.parametrize("size", [0, 1, 1000, 262_144, 262_145, 4 * MB, 8 * MB - 1, 8 * MB, 8 * MB + 1, 21 * MB])
def test_the_chunks_are_the_file(size):
    found = pieces(noise(size, size))
    assert all(chunker.LEAST <= len(piece) <= chunker.MOST for piece in found[:-1])


def test_the_same_bytes_are_cut_in_the_same_places_by_every_version():
    # Whoever changes these numbers makes every checkpoint that is stored already be stored again.
    assert cuts(noise(7, 8 * MB)) == [848_218, 3_105_987, 4_288_334, 6_191_795, 7_274_552, 8_388_608]


def test_bytes_without_any_pattern_are_cut_at_the_largest_size():
    assert set(map(len, pieces(bytes(20 * MB)))) == {4 * MB}


class Dribble(io.BytesIO):
    """Gives less than it is asked for, as a pipe or a network file system may."""

    def readinto(self, buffer):
        return super().readinto(memoryview(buffer)[:70_001])


def test_cuts_do_not_depend_on_how_much_a_read_gives():
    data = noise(1, 12 * MB)
    assert pieces(data, file=Dribble(data)) == pieces(data)


@pytest.mark.parametrize("believed", [0, 1, 5 * MB, 12 * MB - 1, 12 * MB + 1, 40 * MB])
def test_a_file_that_grows_or_shrinks_while_it_is_read_is_what_was_read(believed):
    data = noise(2, 12 * MB)
    assert pieces(data, size=believed) == pieces(data)


def test_bytes_that_move_are_found_again():
    data = noise(3, 24 * MB)
    assert shared(pieces(data), pieces(data[: 5 * MB] + b"inserted" + data[5 * MB :])) > 0.8


def test_a_change_in_one_place_leaves_the_rest_shared():
    data = noise(4, 24 * MB)
    changed = data[: 12 * MB] + noise(5, MB) + data[13 * MB :]
    assert shared(pieces(data), pieces(changed)) > 0.8


def test_large_tensors_of_safetensors_are_cut_exactly():
    data = safetensors({"a": noise(1, 300_000), "b": noise(2, 100), "c": noise(3, 200_000)}, __metadata__={"x": "y"})
    start = len(data) - 500_100
    assert spans(io.BytesIO(data), len(data)) == [start, start + 300_000, start + 300_100]
    assert noise(1, 300_000) in pieces(data)


def test_frozen_tensors_of_safetensors_are_shared_when_the_index_changes():
    frozen = {f"layer {number}": noise(number, 900_000) for number in range(20)}
    old = safetensors({"head": noise(100, 1_000_000), **frozen}, __metadata__={"step": "1"})
    new = safetensors({"head": noise(101, 1_000_000), **frozen}, __metadata__={"step": "1000000"})
    assert shared(pieces(old), pieces(new)) > 0.94


def archive(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as writer:
        for name, data in entries.items():
            writer.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def test_stored_entries_of_an_archive_are_cut_exactly():
    big = noise(1, 400_000)
    data = archive({"m/data.pkl": b"x" * 50, "m/data/0": big, "m/version": b"3\n"})
    assert spans(io.BytesIO(data), len(data)) == [data.index(big), data.index(big) + len(big)]
    assert big in pieces(data)


def test_compressed_entries_are_cut_by_content_only():
    data = archive({"a": noise(1, 400_000)}, zipfile.ZIP_DEFLATED)
    assert spans(io.BytesIO(data), len(data)) == []


def test_frozen_tensors_of_torch_are_shared_under_another_file_name(tmp_path):
    torch = pytest.importorskip("torch")
    state = {f"layer {number}": torch.randn(400, 512) for number in range(20)}
    torch.save(state, tmp_path / "model_1.pt")
    for name in ("layer 3", "layer 17"):
        state[name] = torch.randn(400, 512)
    torch.save(state, tmp_path / "a-longer-name_20000.pt")
    old, new = (tmp_path / "model_1.pt").read_bytes(), (tmp_path / "a-longer-name_20000.pt").read_bytes()
    assert len(spans(io.BytesIO(new), len(new))) == 40
    assert 0.89 < shared(pieces(old), pieces(new)) < 0.91


class Bomb:
    def __reduce__(self):
        return (eval, ("__import__('os').abort()",))


def test_nothing_is_ever_unpickled():
    data = archive({"m/data.pkl": pickle.dumps(Bomb()), "m/data/0": noise(1, MB)})
    assert len(pieces(data)) > 1
    raw = pickle.dumps(Bomb()) + noise(2, MB)
    assert pieces(raw)


def _with(data: bytes, place: int, patch: bytes) -> bytes:
    return data[:place] + patch + data[place + len(patch) :]


GOOD = archive({"a": noise(1, 400_000), "b": noise(2, 300_000)})
END = GOOD.rindex(b"PK\5\6")
HOSTILE = {
    "an archive cut off": GOOD[:-30],
    "only a magic": b"PK\3\4" + noise(1, 500_000),
    "a directory longer than the file": _with(GOOD, END + 12, struct.pack("<L", 2**32 - 2)),
    "a directory behind the file": _with(GOOD, END + 16, struct.pack("<L", 2**32 - 2)),
    "entries behind the file": _with(GOOD, GOOD.index(b"PK\1\2") + 42, struct.pack("<L", 2**31)),
    "an entry larger than the file": _with(GOOD, GOOD.index(b"PK\1\2") + 20, struct.pack("<LL", 2**31, 2**31)),
    "an entry where there is none": _with(GOOD, GOOD.index(b"PK\1\2") + 42, struct.pack("<L", 77)),
    "an index longer than the file": struct.pack("<Q", 2**62) + b"{" + noise(1, 500_000),
    "an index that is no JSON": struct.pack("<Q", 100) + b"{" + noise(1, 500_000),
    "an index that is a deep well": struct.pack("<Q", 200_000) + b'{"a":' * 40_000 + noise(1, 300_000),
    "offsets that are not numbers": safetensors({"a": noise(1, 300_000)}, b={"data_offsets": ["0", None]}),
    "offsets that run backwards": safetensors({"a": noise(1, 300_000)}, b={"data_offsets": [-(10**9), 10**30]}),
    "offsets that are fractions": safetensors({"a": noise(1, 300_000)}, b={"data_offsets": [0.5, 250_000.5]}),
    "offsets that are no numbers at all": safetensors({"a": noise(1, 300_000)}, b={"data_offsets": [0, float("inf")]}),
    "tensors at every byte": safetensors(
        {"a": noise(1, 600_000)}, **{str(n): {"data_offsets": [n, n + 300_000]} for n in range(1, 1000)}
    ),
    "an index that is no index": struct.pack("<Q", 9) + b'{"a":"b"}' + noise(1, 500_000),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_odd_file_is_cut_all_the_same(data):
    assert 1 <= len(pieces(data)) <= 5


def test_a_very_long_directory_is_not_read(tmp_path):
    path = tmp_path / "long.zip"
    with open(path, "wb") as file:  # a sparse file whose end says that all of it is the directory
        file.write(b"PK\3\4")
        file.seek(2**31)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 2**31 - 4, 4, 0))
    with open(path, "rb") as file:
        assert spans(file, path.stat().st_size) == []


MEMORY = """
import resource, sys
from gittrack.store import chunker
with open(sys.argv[1], "rb", buffering=0) as file:
    size = sum(len(part.data) for part in chunker.cut(file, 10**9) if isinstance(part, chunker.Piece))
print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_large_file_needs_no_more_memory_than_two_windows(tmp_path):
    sizes = {}
    for size in (0, 1_000_000_000):
        with open(tmp_path / "file", "wb") as file:
            file.truncate(size)
        done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "file")], capture_output=True, check=True)
        read, sizes[size] = map(int, done.stdout.split())
        assert read == size
    assert sizes[1_000_000_000] - sizes[0] < 20 * 1024
