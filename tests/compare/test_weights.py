"""Weights compared, from files that torch and safetensors themselves have written; and from hostile ones."""

import io
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from gittrack.compare import tensors, weights
from gittrack.errors import Unsupported

torch = pytest.importorskip("torch")
safetensors_numpy = pytest.importorskip("safetensors.numpy")
safetensors_torch = pytest.importorskip("safetensors.torch")


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file


def compared(before, after):
    return weights.between(saved(before), saved(after), "a.pt", "b.pt")


def test_what_did_not_change_is_counted_and_the_rest_measured():
    torch.manual_seed(0)
    old, step = torch.randn(300, 40), torch.randn(300, 40) * 0.01
    found = compared({"w": old, "b": torch.ones(3), "n": 3}, {"w": old + step, "b": torch.ones(3), "n": 4})
    [change] = found.changes
    assert (change.name, change.what, found.unchanged) == ("w", "changed", 1)
    delta = (old + step).double() - old.double()
    assert change.norm == pytest.approx(delta.norm().item(), rel=1e-12)
    assert change.relative == pytest.approx((delta.norm() / old.double().norm()).item(), rel=1e-12)
    cosine = torch.nn.functional.cosine_similarity(old.double().flatten(), (old + step).double().flatten(), dim=0)
    assert change.cosine == pytest.approx(cosine.item(), rel=1e-12)
    assert found.norm == change.norm


def test_nested_dicts_and_lists_get_dotted_names():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "extra": [torch.ones(1), (torch.ones(2),)],
    }
    names = weights.tensors(saved(state), "a.pt")
    assert {"model.weight", "model.bias", "optimizer.state.0.exp_avg", "extra.0", "extra.1.0"} <= set(names)
    assert names["model.weight"].shape == (2, 3)


def test_the_greatest_relative_change_comes_first_and_what_is_in_one_only_last():
    before = {"little": torch.ones(4), "much": torch.ones(4), "gone": torch.ones(1), "zero": torch.zeros(2)}
    after = {"little": torch.ones(4) * 1.1, "much": torch.ones(4) * 3, "new": torch.ones(1), "zero": torch.ones(2)}
    found = compared(before, after)
    assert [(one.name, one.what) for one in found.changes] == [
        ("zero", "changed"), ("much", "changed"), ("little", "changed"), ("new", "added"), ("gone", "removed"),
    ]  # fmt: skip
    assert found.changes[0].relative == math.inf
    assert found.changes[0].cosine is None
    assert weights.summary(found).startswith("3 changed, 1 added, 1 removed, 0 the same")


def test_another_shape_or_type_is_said():
    found = compared({"a": torch.ones(2, 3), "b": torch.ones(4)}, {"a": torch.ones(3, 2), "b": torch.ones(4).half()})
    shape, dtype = found.changes
    assert shape.name == "a" and shape.norm is None
    assert (dtype.before.dtype, dtype.after.dtype, dtype.norm) == ("float32", "float16", 0.0)
    rows = weights.part(found)[1].rows
    assert rows[0][2] == "2×3 → 3×2"
    assert rows[1][3] == "float32 → float16"


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int8",
                                   "uint8", "bool", "complex64"])  # fmt: skip
def test_every_type_is_read_as_torch_reads_it(dtype):
    values = torch.tensor([0.0, 1.0, -2.5, 3.25, 100.0, -0.015625])
    values = values.abs() if dtype in ("uint8", "bool") else values
    tensor = values.to(getattr(torch, dtype))
    file = saved({"x": tensor})
    one = weights.tensors(file, "a.pt")["x"]
    [piece] = tensors.pieces(file, one)
    read = tensors.numbers(piece, one.dtype)
    wide = tensor.to(torch.complex128 if dtype == "complex64" else torch.float64)
    expected = torch.view_as_real(wide).flatten() if dtype == "complex64" else wide
    assert read.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_all_patterns_of_eight_bits_have_torchs_value(dtype):
    bits = torch.arange(256, dtype=torch.int32).to(torch.uint8)
    ours = tensors.numbers(bits.numpy(), dtype)
    np.testing.assert_array_equal(ours, bits.view(getattr(torch, dtype)).double().numpy())


def test_safetensors_and_torch_files_of_the_same_weights_are_the_same(tmp_path):
    state = {"w": torch.randn(5, 7), "h": torch.randn(9).bfloat16(), "i": torch.arange(4), "empty": torch.zeros(0, 3)}
    safetensors_torch.save_file(state, str(tmp_path / "a.safetensors"), metadata={"format": "pt"})
    with open(tmp_path / "a.safetensors", "rb") as file:
        found = weights.between(file, saved(state), "a.safetensors", "b.pt")
    assert found.changes == []
    assert found.unchanged == 4


def test_views_transposes_and_shared_storages_are_compared_by_value():
    base = torch.randn(6, 8)
    views = {"t": base.t(), "part": base[1:3, 2:5], "every": base[:, ::2], "wide": base[:1].expand(50, 8), "all": base}
    plain = {name: view.clone(memory_format=torch.contiguous_format) for name, view in views.items()}
    assert compared(views, plain).changes == []
    base[2, 3] += 1
    changed = weights.between(saved(plain), saved(views), "a", "b").changes
    assert {one.name for one in changed} == {"t", "part", "all"}
    assert all(one.norm == pytest.approx(1, rel=1e-6) for one in changed)


def test_parameters_sparse_tensors_and_what_is_no_tensor_are_no_hindrance():
    import argparse

    state = OrderedDict(p=torch.nn.Parameter(torch.ones(2)), s=torch.eye(3).to_sparse(), size=torch.Size([1, 2]),
                        args=argparse.Namespace(lr=0.1), at=np.float64(0.5), d=torch.device("cpu"), t=torch.float16,
                        where=Path("x"))  # fmt: skip
    assert set(weights.tensors(saved(state), "a.pt")) == {"p", "s.0", "s.1"}


def test_not_a_number_is_told_and_comes_first():
    found = compared({"a": torch.ones(3), "b": torch.ones(3)}, {"a": torch.ones(3) * 9, "b": torch.ones(3) * math.nan})
    assert [one.name for one in found.changes] == ["b", "a"]
    assert math.isnan(found.changes[0].norm)


def test_the_file_order_of_bytes_is_kept_to():
    little, big = saved({"w": torch.arange(5.0)}), io.BytesIO()
    with zipfile.ZipFile(little) as source, zipfile.ZipFile(big, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith("/byteorder"):
                data = b"big"
            elif "/data/" in info.filename:
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            target.writestr(info.filename, data)
    assert weights.between(little, big, "a", "b").changes == []


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_pickle_that_would_run_a_command_runs_nothing(tmp_path):
    mark = tmp_path / "owned"
    with pytest.raises(Unsupported, match=r"posix\.system"):
        weights.tensors(saved({"model": torch.ones(2), "x": Payload(mark)}), "model.pt")
    assert not mark.exists()
    os.system(f"touch {mark}")  # what the payload says, so that its absence means something
    assert mark.exists()


def archive(pickled, data=b"\0" * 64):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/data/0", data)
    return file


def crafted(storage="FloatStorage", offset=0, shape=(4,), strides=(1,)):
    def ints(values):
        return b"(" + b"".join(b"J" + value.to_bytes(4, "little", signed=True) for value in values) + b"t"

    name = storage.encode()
    pid = b"(X\x07\0\0\0storagectorch\n" + name + b"\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
    whole = b"\x80\x02ctorch._utils\n_rebuild_tensor\n(" + pid + b"J" + offset.to_bytes(4, "little", signed=True)
    return archive(whole + ints(shape) + ints(strides) + b"tR.")


def test_a_file_made_by_hand_as_torch_makes_it_is_read():
    assert weights.tensors(crafted(), "a.pt")["tensor"].shape == (4,)


@pytest.mark.parametrize(
    "file",
    [
        archive(b""),
        archive(b"\x80\x02."),
        archive(b"cos\nsystem\n(X\x04\0\0\0trueitR."),
        archive(b"\x80\x04\x96\0\0\0\0\0\0\0\x7f."),  # an array of bytes larger than any memory
        archive(b"\x80\x02}r\xff\xff\xff\xff."[:4] + b"\x8e\0\0\0\0\0\0\0\x7f."),
        archive(b"(" * 10**6),
        archive(b"\x80\x02]q\0h\0a."),  # a list that holds itself
        archive(b"\x80\x02]q\0" + b"]q\1(h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0eq\0" * 40 + b"."),
        crafted(offset=13),
        crafted(offset=-1),
        crafted(shape=(17,)),
        crafted(shape=(-1,)),
        crafted(shape=(2, 2), strides=(1,)),
        crafted(shape=(2**30,), strides=(0,)),
        crafted(storage="DoubleStorage", shape=(9,)),
        io.BytesIO(b"PK\x03\x04" + b"\0" * 100),
        io.BytesIO(b""),
        io.BytesIO(b"\x80\x04K\x01."),
    ],
    ids=range(18),
)
def test_broken_and_hostile_files_are_refused_in_words(file):
    with pytest.raises(Unsupported) as caught:
        one = weights.tensors(file, "bad.pt")
        for tensor in one.values():
            list(tensors.pieces(file, tensor, in_order=tensor.order is not None))
        if not one:
            raise Unsupported("there is no tensor in it")
    assert caught.value.message


def test_every_truncation_of_a_file_is_an_error_in_words():
    state = {"a": torch.randn(20, 3), "b": torch.randn(7)}
    whole = saved(state).getvalue()
    header = safetensors_torch.save(state)
    for data in (whole, header):
        for end in range(0, len(data) - 1, 37):
            with pytest.raises(Unsupported):
                weights.between(io.BytesIO(data[:end]), io.BytesIO(data), "a", "b")


def test_no_flipped_byte_does_anything_but_an_error_in_words():
    data = saved({"a": torch.randn(3), "b": [torch.ones(2), {"c": 1}]}).getvalue()
    start = data.index(b"\x80\x02")
    for at in range(start, data.index(b"PK\x07\x08", start) if b"PK\x07\x08" in data else start + 400):
        broken = bytearray(data)
        broken[at] ^= 0xFF
        try:
            weights.between(io.BytesIO(bytes(broken)), io.BytesIO(data), "a", "b")
        except Unsupported:
            continue


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]}},
        {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16000]}},
        {"w": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}},
        {"w": {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}},
        {"w": {"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]}},
        {"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}},
        {"w": [1, 2]},
        {"w": {}},
    ],
)
def test_a_safetensors_header_that_lies_is_refused(header):
    text = json.dumps(header).encode()
    with pytest.raises(Unsupported, match="safetensors"):
        weights.tensors(io.BytesIO(len(text).to_bytes(8, "little") + text + b"\0" * 16), "a.safetensors")


def test_old_torch_files_and_programs_get_advice(tmp_path):
    legacy = io.BytesIO()
    torch.save({"a": torch.ones(1)}, legacy, _use_new_zipfile_serialization=False)
    with pytest.raises(Unsupported, match=r"before version 1\.6"):
        weights.tensors(legacy, "old.pt")
    program = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), program)
    with pytest.raises(Unsupported, match="TorchScript"):
        weights.tensors(program, "program.pt")
    with pytest.raises(Unsupported, match="neither"):
        weights.tensors(io.BytesIO(pickle.dumps({"a": 1})), "a.pkl")


MEASURED = """
import resource, sys
from gittrack.compare import weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = weights.between(open(sys.argv[1], "rb"), open(sys.argv[2], "rb"), "a", "b")
assert len(found.changes) == 1 and found.unchanged == 1, found
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_memory_stays_flat_however_large_the_tensors_are(tmp_path, kind):
    big = np.arange(25_000_000, dtype=np.float32)  # 100 MB
    for name, step in (("a", 0), ("b", 1)):
        state = {"same": big, "w": big + step}
        if kind == "torch":
            torch.save({key: torch.from_numpy(value) for key, value in state.items()}, tmp_path / name)
        else:
            safetensors_numpy.save_file(state, str(tmp_path / name))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "a", tmp_path / "b"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000, "kB more than before"


def test_torch_and_safetensors_are_not_needed_to_compare(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a")
    program = (
        "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None\n"
        "from gittrack.compare import weights\n"
        "print(weights.between(open(sys.argv[1], 'rb'), open(sys.argv[1], 'rb'), 'a', 'b').unchanged)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
