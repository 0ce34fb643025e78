"""The recorder as one zip file that is a PYTHONPATH entry: for containers and interpreters that have no gittrack.

The same bytes for the same version, so that an image layer or an upload that holds it is found again.
"""

from __future__ import annotations

import os
import zipfile

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(_HERE)
EPOCH = (1980, 1, 1, 0, 0, 0)


def build(path: str) -> str:
    """Write the zip to `path`, whole or not at all, and return `path`. Raises OSError."""
    made = f"{path}.{os.getpid()}.new"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in members():
            with open(source, "rb") as file:
                info = zipfile.ZipInfo(name, EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, file.read())
    os.replace(made, path)
    return path


def members() -> list[tuple[str, str]]:
    """Name in the zip and source file of all it holds."""
    recorder = sorted(name for name in os.listdir(_HERE) if name.endswith(".py"))
    return [
        ("sitecustomize.py", os.path.join(_HERE, "bootstrap", "sitecustomize.py")),
        ("gittrack/__init__.py", os.path.join(_PACKAGE, "__init__.py")),
        ("gittrack/lazy.py", os.path.join(_PACKAGE, "lazy.py")),
        *((f"gittrack/recorder/{name}", os.path.join(_HERE, name)) for name in recorder),
    ]
