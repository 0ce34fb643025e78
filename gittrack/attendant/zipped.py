"""The attendant as one zip file: what is sent to hosts.

The same bytes for the same version, so that a host that has it is not sent it again. It is the recorder's zip, too (see
`recorder/zipped.py`): the command of a job has it on PYTHONPATH. That its modules import each other alone, and nothing
that Python 3.9 does not bring, is what tests/attendant/test_closed_set.py is about.
"""

from __future__ import annotations

import hashlib
import os
import zipfile

from gittrack.recorder import zipped as recorder

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_HERE)

MODULES = (
    "errors",
    "compare/__init__", "compare/loading", "compare/sent", "compare/weight_names",
    "core/__init__", "core/codec", "core/console", "core/events", "core/layout", "core/parcels", "core/pointer",
    "core/redact", "core/secret_scan", "core/shape",
    "record/__init__", "record/command", "record/console", "record/declared", "record/documents", "record/keeping",
    "record/machine", "record/parameters", "record/pump", "record/reaper", "record/signals", "record/starter",
    "record/storer_watched", "record/storing_parcels", "record/system_metrics", "record/telling", "record/terminal",
    "record/waiting",
    "runs/__init__", "runs/away", "runs/closing", "runs/cutting", "runs/live", "runs/locking", "runs/tail",
    "store/__init__", "store/durable",
)  # fmt: skip


def build(path: str) -> str:
    """Write the zip to `path`, whole or not at all, and return `path`. Raises OSError."""
    made = f"{path}.{os.getpid()}.new"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in members():
            with open(source, "rb") as file:
                info = zipfile.ZipInfo(name, recorder.EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, file.read())
    os.replace(made, path)
    return path


def name_of(path: str) -> str:
    """What the zip at `path` is called in a host's cache. Raises OSError."""
    with open(path, "rb") as file:
        return f"attendant-{hashlib.sha256(file.read()).hexdigest()[:16]}.zip"


def members() -> list[tuple[str, str]]:
    """Name in the zip and source file of all it holds."""
    ours = sorted(name for name in os.listdir(_HERE) if name.endswith(".py") and not name.startswith("__main__"))
    return [
        *recorder.members(),
        ("__main__.py", os.path.join(_HERE, "__main__.py")),
        *((f"gittrack/{name}.py", os.path.join(_PACKAGE, f"{name}.py")) for name in MODULES),
        *((f"gittrack/attendant/{name}", os.path.join(_HERE, name)) for name in ours),
    ]
