"""What stands in the folder of a run, for the tests to look at; and the interpreters of this machine."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import gittrack

RUN_ID = "0123456789abcdef0123"
PACKAGE = Path(gittrack.__file__).parent
BOOTSTRAP = str(PACKAGE / "recorder" / "bootstrap")
PYENV = Path(os.path.expanduser("~/.pyenv/versions"))

Events = list[dict[str, Any]]


def events(run_dir: Path, kind: str | None = None) -> Events:
    """The events of all process files in the format's order; of one kind, or ("m") the metric lines."""
    files = sorted(run_dir.glob("*.jsonl"), key=lambda path: (path.name != "run.jsonl", path.name))
    lines = [json.loads(line) for file in files for line in file.read_bytes().split(b"\n")[:-1]]
    if kind is None:
        return lines
    return [line for line in lines if (line.get("e") == kind if kind != "m" else "m" in line and "e" not in line)]


def values(run_dir: Path, source: str) -> dict[str, Any]:
    """The parameters from one source, as the last event of each says them."""
    found: dict[str, Any] = {}
    for event in events(run_dir, "params"):
        if event["source"] == source:
            found.update(event["values"])
    return found


def warnings(run_dir: Path) -> list[str]:
    return [event["text"] for event in events(run_dir, "warning")]


def parcel(run_dir: Path, line: dict[str, Any]) -> Path:
    """The folder that a line speaks of."""
    return run_dir / "parcels" / line["parcel"]


def held(folder: Path) -> dict[str, bytes | str]:
    """What is in a parcel: content by path, of links their target."""
    found: dict[str, bytes | str] = {}
    for root, folders, files in os.walk(folder):
        for path in [Path(root) / name for name in (*folders, *files)]:
            if path.is_symlink():
                found[str(path.relative_to(folder))] = os.readlink(path)
            elif path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def interpreters() -> dict[str, str]:
    """Every supported Python on this machine, by version; this one at least."""
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    for minor in range(9, 15):
        for path in [*PYENV.glob(f"3.{minor}.*/bin/python3.{minor}"), Path(f"/usr/bin/python3.{minor}")]:
            if path.exists():
                found.setdefault(f"3.{minor}", str(path))
    return found
