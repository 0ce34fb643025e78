"""torch's files: a zip with a pickle that says which tensors there are, and an entry of plain bytes for each storage.

A pickle is a program, and a checkpoint may come from anybody. So this one is read by an unpickler that knows nothing of
Python but dicts, lists and values: what names a function gets a stub of this module for the few that describe tensors,
and the file is refused for every other. Python's own implementation of it is used: the compiled one reserves as much
memory as a file of 20 bytes tells it to.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, ClassVar, NamedTuple

from gittrack.compare.tensors import STORED, Tensor, sizes
from gittrack.errors import Unsupported

MAGIC = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
LARGEST_PICKLE = 512 * 1024 * 1024
MOST_READS = 20_000_000  # an instruction of one byte makes an object of 64
MOST_VALUES = 2_000_000  # a file may name one list in many places: unfolded, 100 bytes would become terabytes
LONGEST_NAME = 4096  # and a list may hold itself

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64", "QInt8Storage": "qint8", "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
    "UntypedStorage": "uint8",
}  # fmt: skip
_ALLOWED = {
    pickle.PROTO, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP, pickle.FRAME, pickle.NONE,
    pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1,
    pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT, pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
    pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.BINSTRING,
    pickle.SHORT_BINSTRING, pickle.EMPTY_DICT, pickle.DICT, pickle.EMPTY_LIST, pickle.LIST, pickle.EMPTY_TUPLE,
    pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET,
    pickle.SETITEM, pickle.SETITEMS, pickle.APPEND, pickle.APPENDS, pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT,
    pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.BINPERSID, pickle.REDUCE,
    pickle.NEWOBJ, pickle.BUILD,
}  # fmt: skip


class _Refused(Exception):
    """The pickle names something that describes no tensor."""


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Type(NamedTuple):
    """What a file means by `torch.float32` or `torch.FloatStorage`."""

    dtype: str


class _Laid(NamedTuple):
    """A tensor as the pickle describes it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


class _Dict(dict[Any, Any]):
    """In place of OrderedDict and the like."""

    def __init__(self, *_: Any) -> None:
        super().__init__()


class _Other:
    """In place of values that hold no weights: whatever is put into it is gone."""

    def __init__(self, *_: Any) -> None: ...
    def __setitem__(self, _key: Any, _value: Any) -> None: ...
    def append(self, _value: Any) -> None: ...
    def extend(self, _values: Any) -> None: ...


def _laid(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Laid:
    return _Laid(storage, offset, sizes(shape), sizes(strides), storage.dtype)


def _laid_as(
    storage: _Storage, offset: int, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: _Type, *_: Any
) -> _Laid:
    return _laid(storage, offset, shape, strides)._replace(dtype=dtype.dtype)


def _first(value: Any, *_: Any) -> Any:
    return value


def _from_type(function: Callable[..., Any], _type: Any, arguments: Any, *_: Any) -> Any:
    return function(*arguments)


def _sparse(_layout: Any, data: Any) -> Any:
    return {str(number): part for number, part in enumerate(data) if isinstance(part, _Laid)}


def _size(value: Any = ()) -> tuple[int, ...]:
    return sizes(value)


_STUBS: dict[str, Any] = {
    "torch._utils._rebuild_tensor": _laid,
    "torch._utils._rebuild_tensor_v2": _laid,
    "torch._utils._rebuild_tensor_v3": _laid_as,
    "torch._utils._rebuild_qtensor": _laid,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _Other,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Size": _size,
    "torch.storage.UntypedStorage": _Type("uint8"),
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "builtins.dict"), _Dict),
    **dict.fromkeys(
        (
            "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer", "torch.device",
            "torch.serialization._get_layout", "torch.per_tensor_affine", "torch.per_channel_affine",
            "collections.Counter", "builtins.set", "builtins.list", "builtins.complex", "argparse.Namespace",
            "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "datetime.datetime", "_codecs.encode",
            "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
            "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
        ),
        _Other,
    ),
    **{f"torch.{name}": _Type(dtype) for name, dtype in _STORAGES.items()},
    **{f"torch.{dtype}": _Type(dtype) for dtype in STORED},
}  # fmt: skip


class _Counted(io.BytesIO):
    """A pickle that has an end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if not self._left:
            raise ValueError("it has too many instructions")
        return super().read(size)


class _Unpickler(pickle._Unpickler):
    """Builds dicts, lists and the stubs above, and calls nothing else."""

    dispatch: ClassVar[Any] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if bytes([code]) in _ALLOWED
    }

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}".replace("__builtin__.", "builtins.")
        if full not in _STUBS:
            raise _Refused(full)
        return _STUBS[full]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, type_, key = pid[:3]
        if kind != "storage" or not isinstance(type_, _Type) or not isinstance(key, str):
            raise ValueError(f"{kind!r:.40} is no storage")
        return _Storage(key, type_.dtype)

    def load_build(self) -> None:
        """The state of an object: none that is kept here has one."""
        self.stack.pop()  # type: ignore[attr-defined]

    def load_newobj(self) -> None:
        self.stack.pop()  # type: ignore[attr-defined]
        made = self.stack.pop()  # type: ignore[attr-defined]
        if made not in (_Dict, _Other):
            raise ValueError("it makes an object of what is no class")
        self.append(made())  # type: ignore[attr-defined]

    def load_set(self) -> None:
        """Sets hold no weights, and a tuple of tuples of one tuple, 60 deep, is never hashed in a lifetime."""
        self.append(_Other())  # type: ignore[attr-defined]

    def load_additems(self) -> None:
        self.pop_mark()  # type: ignore[attr-defined]

    def load_frozenset(self) -> None:
        self.pop_mark()  # type: ignore[attr-defined]
        self.load_set()

    def load_dict(self) -> None:
        _refuse_keys(self.stack[::2])  # type: ignore[attr-defined]
        super().load_dict()  # type: ignore[misc]

    def load_setitem(self) -> None:
        _refuse_keys(self.stack[-2:-1])  # type: ignore[attr-defined]
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        _refuse_keys(self.stack[::2])  # type: ignore[attr-defined]
        super().load_setitems()  # type: ignore[misc]

    dispatch |= {
        code[0]: load
        for code, load in (
            (pickle.BUILD, load_build), (pickle.NEWOBJ, load_newobj), (pickle.EMPTY_SET, load_set),
            (pickle.ADDITEMS, load_additems), (pickle.FROZENSET, load_frozenset), (pickle.DICT, load_dict),
            (pickle.SETITEM, load_setitem), (pickle.SETITEMS, load_setitems),
        )
    }  # fmt: skip


_PLAIN = (str, int, float, bool, bytes, type(None), _Type, _Storage, _Other)


def _refuse_keys(keys: Iterable[Any]) -> None:
    """Raise ValueError for keys that cost more than their length to hash."""
    for key in keys:
        for part in key if type(key) is tuple else (key,):
            if type(part) not in _PLAIN:
                raise ValueError("a key is no name or number")


def tensors(file: BinaryIO, name: str) -> list[Tensor]:
    """Every tensor of the file, under the keys that lead to it. Raises Unsupported; `name` is for its message."""
    try:
        with zipfile.ZipFile(file) as archive:
            prefix, tree, little = _described(archive, name)
            return _unfolded(archive, file, prefix, tree, little)
    except Unsupported:
        raise
    except _Refused as error:
        raise Unsupported(
            f"{name} is not opened: reading it would mean to run {str(error)[:100]!r}",
            "nothing in a checkpoint is executed; save a state dict: tensors in dicts and lists",
        ) from error
    # A file that somebody made may raise whatever an unpickler can; nobody but the asker is hurt.
    except Exception as error:
        raise Unsupported(
            f"{name} is no torch file that can be read: {type(error).__name__}: {str(error)[:200]}", "save it again"
        ) from error


def _described(archive: zipfile.ZipFile, name: str) -> tuple[str, Any, bool]:
    """Where the entries lie, what the pickle holds, and the order of bytes."""
    names = archive.namelist()
    found = [one for one in names if one.count("/") == 1 and one.endswith("/data.pkl")]
    if len(found) != 1:
        raise Unsupported(f"{name} is a zip, but no torch checkpoint", "give a file that torch.save has written")
    prefix = found[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in names:
        raise Unsupported(f"{name} is a TorchScript program", "save its state_dict() with torch.save to compare it")
    info = archive.getinfo(found[0])
    if info.file_size > LARGEST_PICKLE or info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its data.pkl is compressed or too large")
    order = archive.read(f"{prefix}byteorder").strip() if f"{prefix}byteorder" in names else b"little"
    return prefix, _Unpickler(_Counted(archive.read(info))).load(), order == b"little"


def _unfolded(archive: zipfile.ZipFile, file: BinaryIO, prefix: str, tree: Any, little: bool) -> list[Tensor]:
    places: dict[str, tuple[int, int]] = {}
    found: list[Tensor] = []
    for path, laid in _walk(tree):
        if laid.storage.key not in places:
            places[laid.storage.key] = _place(file, archive.getinfo(f"{prefix}data/{laid.storage.key}"))
        start, size = places[laid.storage.key]
        item = int(STORED[laid.dtype][1:])
        one = Tensor(path, laid.dtype, laid.shape, laid.strides, start + laid.offset * item, little)
        if laid.offset < 0 or len(laid.shape) != len(laid.strides) or (laid.offset + one.span) * item > size:
            raise ValueError(f"tensor {path!r} does not lie within its storage")
        found.append(one)
    return found


def _walk(tree: Any) -> Iterator[tuple[str, _Laid]]:
    """Name -> tensor, dotted: `model.layer.weight`, `optimizer.state.0.exp_avg`."""
    waiting: list[tuple[str, Any, Any]] = [("", "", tree)]
    seen = 0
    while waiting:
        above, last, value = waiting.pop()
        path = f"{above}.{last}" if above else str(last)
        seen += 1
        if seen + len(waiting) > MOST_VALUES or len(path) > LONGEST_NAME:
            raise ValueError("it holds too many values, or they are nested too deeply")
        if isinstance(value, _Laid):
            yield path or "tensor", value
            continue
        inner: Any = ()
        if isinstance(value, dict):
            inner = value.items()
        elif isinstance(value, (list, tuple)) and not isinstance(value, (_Storage, _Type)):
            inner = enumerate(value)
        waiting += [(path, key, item) for key, item in reversed(list(inner))]


def _place(file: BinaryIO, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of an entry begin, and how many they are."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != MAGIC:
        raise ValueError(f"{info.filename} does not lie where the directory says")
    name, extra = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + name + extra, info.file_size
