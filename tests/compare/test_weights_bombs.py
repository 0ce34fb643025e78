"""Small files that would take all memory or all time are refused as quickly as others are read."""

import io
import json
import resource
import subprocess
import sys
import zipfile

import pytest

from gittrack.compare import loading, weights
from gittrack.errors import Unsupported

torch = pytest.importorskip("torch")

MEMORY, SECONDS = 2_000_000_000, 60
READING = """
import sys
from gittrack.compare import weights
from gittrack.errors import Unsupported
try:
    with open(sys.argv[1], "rb") as file:
        weights.tensors(file, "bomb")
except Unsupported as error:
    print(error.message)
"""
NESTED = b")" + b"2\x86" * 60  # (((), ()), ((), ())), … 60 deep: to hash it takes longer than the sun will shine


def archive(pickled):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", pickled)
    return file.getvalue()


def safetensors(header, data=b"\0" * 16):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def said_of(data, tmp_path):
    """What a process with little memory says of the file."""
    path = tmp_path / "bomb.pt"
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", READING, str(path)], capture_output=True, text=True, preexec_fn=limited, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "keys",
    [b"}(" + NESTED + b"K\x01u.", b"}" + NESTED + b"K\x01s.", b"(" + NESTED + b"K\x01d."],
    ids=["items", "item", "dict"],
)
def test_a_key_that_is_never_hashed_is_refused(keys, tmp_path):
    assert "a key is no name" in said_of(archive(b"\x80\x04" + keys), tmp_path)


@pytest.mark.parametrize("made", [b"\x8f(" + NESTED + b"\x90.", b"(" + NESTED + b"\x91."], ids=["set", "frozen"])
def test_sets_are_passed_over(made, tmp_path):
    assert said_of(archive(b"\x80\x04" + made), tmp_path) == ""


def test_a_long_name_before_many_values_takes_no_room_for_each(tmp_path):
    many = b"](" + b"N" * 2_500_000 + b"e"
    assert "too many values" in said_of(archive(b"\x80\x02}X\xa0\x0f\0\0" + b"n" * 4000 + many + b"s."), tmp_path)


def test_a_pickle_of_millions_of_instructions_is_refused(tmp_path):
    assert "too many instructions" in said_of(archive(b"\x80\x02" + b"}0" * 15_000_000 + b"N."), tmp_path)


def test_sets_and_keys_of_every_kind_that_trainings_have_are_read():
    file = io.BytesIO()
    state = {"a": torch.ones(2), 1: {(0, "b"): [torch.ones(3)]}, "types": {torch.float32: 1}, "seen": {1, 2}}
    torch.save(state, file)
    assert sorted(weights.tensors(file, "good.pt")) == ["1.(0, 'b').0", "a"]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({str(n): {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in range(3)}, "overlap"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, "overlap, or there is something between"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, "take 8 bytes, and there are 16"),
        ({}, "take 0 bytes"),
    ],
)
def test_each_byte_of_a_safetensors_file_belongs_to_one_tensor(header, why):
    with pytest.raises(Unsupported, match=why):
        weights.tensors(io.BytesIO(safetensors(header)), "a.safetensors")


def test_a_safetensors_header_that_is_cut_short_is_no_file_without_tensors():
    with pytest.raises(Unsupported):
        weights.tensors(io.BytesIO((10**7).to_bytes(8, "little") + b"{}"), "a.safetensors")


def repacked(squeeze):
    """What torch.save writes, packed in another way."""
    plain, file = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(file, "w", squeeze) as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    return file


def test_a_torch_file_that_unpacks_to_more_than_it_is_is_not_loaded(tmp_path):
    assert loading.from_bytes("m.pt", repacked(zipfile.ZIP_STORED).getvalue(), {})["w"].shape == (1_000_000,)
    bomb = repacked(zipfile.ZIP_DEFLATED).getvalue()
    assert len(bomb) < 10_000
    (tmp_path / "m").write_bytes(bomb)
    for load in (lambda: loading.from_bytes("m.pt", bomb, {}), lambda: loading.from_file("m.pt", tmp_path / "m", {})):
        with pytest.raises(Unsupported, match="would unpack to more than it is"):
            load()


def test_entries_that_lie_over_each_other_are_not_loaded():
    file = repacked(zipfile.ZIP_STORED)
    with zipfile.ZipFile(file, "a") as archive:
        data = archive.getinfo("archive/data/0" if "archive/data/0" in archive.namelist() else archive.namelist()[-1])
        for number in range(1, 4):
            info = zipfile.ZipInfo(data.filename[:-1] + str(number))
            info.header_offset, info.file_size, info.compress_size = data.header_offset, data.file_size, data.file_size
            info.CRC, info.compress_type = data.CRC, data.compress_type
            archive.filelist.append(info)
        archive._didModify = True
    with pytest.raises(Unsupported, match="would unpack to more than it is"):
        loading.from_bytes("m.pt", file.getvalue(), {})
