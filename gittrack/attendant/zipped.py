"""The attendant as one zip file: what is sent to hosts.

The same bytes for the same version, so that a host that has it is not sent it again. It is the recorder's zip, too (see
`recorder/zipped.py`): the command of a job has it on PYTHONPATH. That its modules import each other alone, and nothing
that Python 3.9 does not bring, is what tests/attendant/test_closed_set.py is about.

Beside each module stands what this Python makes of it: where the container's is of the same version, that is half
of the time until the command starts. All others compile it themselves.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import zipfile
from importlib import util

from gittrack.attendant import entry
from gittrack.recorder import zipped as recorder

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_HERE)
_UNCHECKED = b"\1\0\0\0"  # PEP 552: taken as it is, whatever the source's time may be
_PLAIN = 2  # of marshal's versions: later ones write the same code in several ways

MODULES = (
    "errors",
    "compare/__init__", "compare/loading", "compare/sent", "compare/weight_names",
    "core/__init__", "core/codec", "core/console", "core/events", "core/layout", "core/parcels", "core/pointer",
    "core/redact", "core/secret_scan", "core/shape",
    "record/__init__", "record/command", "record/console", "record/declared", "record/documents", "record/keeping",
    "record/machine", "record/parameters", "record/pump", "record/reaper", "record/schedule", "record/signals",
    "record/starter", "record/storer_watched", "record/storing_parcels", "record/system_metrics", "record/telling",
    "record/terminal", "record/waiting",
    "runs/__init__", "runs/away", "runs/closing", "runs/cutting", "runs/live", "runs/locking", "runs/tail",
    "store/__init__", "store/durable",
)  # fmt: skip


def build(path: str) -> str:
    """Write the zip to `path`, whole or not at all, and return `path`. Raises OSError."""
    made = f"{path}.{os.getpid()}.new"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in members():
            data = _read(source)
            for kind, content in (("", data), ("c", _compiled(name, data))):
                info = zipfile.ZipInfo(name + kind, recorder.EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)
    os.replace(made, path)
    return path


def name() -> str:
    """What the zip is called in a host's cache, by all that it is made of. Raises OSError."""
    found = hashlib.sha256(util.MAGIC_NUMBER)
    for member, source in members():
        data = _read(source)
        found.update(f"{member} {len(data)}\n".encode() + data)
    return f"attendant-{found.hexdigest()[:16]}.zip"


def members() -> list[tuple[str, str]]:
    """Name in the zip and source file of all it holds."""
    ours = sorted(name for name in os.listdir(_HERE) if name.endswith(".py") and not name.startswith("__main__"))
    return [
        *recorder.members(),
        ("__main__.py", os.path.join(_HERE, "__main__.py")),
        *((f"gittrack/{name}.py", os.path.join(_PACKAGE, f"{name}.py")) for name in MODULES),
        *((f"gittrack/attendant/{name}", os.path.join(_HERE, name)) for name in ours),
    ]


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _compiled(name: str, data: bytes) -> bytes:
    code = compile(data, f"{entry.ZIP}/{name}", "exec", dont_inherit=True)
    return util.MAGIC_NUMBER + _UNCHECKED + util.source_hash(data) + marshal.dumps(code, _PLAIN)
