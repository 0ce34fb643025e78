"""The interpreter of this process and what is installed for it, as a requirements.txt.

Read from the names of folders on sys.path: importlib.metadata would cost every program 40 ms and more. Sources other
than an index (a git commit, a local folder) are in `direct_url.json`, which few packages have.
"""

from __future__ import annotations

import os
import sys

from .opening import open_journal
from .secret_names import clean_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def record() -> None:
    """Write both environment events into the run of this process, when it is open."""
    journal = open_journal(quiet=True)
    if journal is not None:
        journal.event("environment", name="python.json", value=interpreter())
        journal.event("environment", name="requirements.txt", value=requirements(sys.path))


def interpreter() -> dict[str, object]:
    """What `environment/python.json` says."""
    return {
        "base_prefix": sys.base_prefix,
        "build": sys.version,
        "executable": sys.executable,
        "implementation": sys.implementation.name,
        "platform": sys.platform,
        "prefix": sys.prefix,
        "version": ".".join(map(str, sys.version_info[:3])),
    }


def requirements(path: list[str]) -> str:
    """One line per package on `path`, the first of a name, sorted; what pip cannot install is a comment."""
    lines: dict[str, str] = {}
    for folder in path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:  # an archive, or not there
            continue
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")):
                name, _, version = entry.rpartition(".")[0].partition("-")
                name = _normal(name)
                if name not in lines:
                    lines[name] = _line(name, version, folder + "/" + entry)
    return "".join([lines[name] + "\n" for name in sorted(lines)])


def _line(name: str, version: str, place: str) -> str:
    if not version:  # the sources themselves are on the path
        return f"# {name} (in development, {os.path.dirname(place)})"
    if place.endswith(".egg-info"):
        version = version.partition("-")[0]  # what follows is the Python version and the platform
    direct = place + "/direct_url.json"
    if os.access(direct, os.R_OK):  # a third of the cost of an open that fails, which it does for nearly all
        try:
            with open(direct, encoding="utf-8") as file:
                return _sourced(name, version, _parse(file.read()))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):  # not as specified
            pass
    return f"{name}=={version}"


def _sourced(name: str, version: str, source: dict[str, Any]) -> str:
    """The line of a package installed from `source` (PEP 610)."""
    url = clean_text(source["url"])
    commit = source.get("vcs_info")
    if commit:
        return f"{name} @ {commit['vcs']}+{url}@{commit['commit_id']}"
    if url.startswith("file:"):
        how = "editable, " if source.get("dir_info", {}).get("editable") else ""
        return f"# {name}=={version} ({how}{url})"
    return f"{name} @ {url}"


def _normal(name: str) -> str:
    """One spelling for all that an index takes for the same name (PEP 503)."""
    name = name.lower().replace("_", "-").replace(".", "-")
    return name if "--" not in name else "-".join([part for part in name.split("-") if part])


class _Plain:
    """What the C scanner behind `json.loads` asks for; json itself imports re, enum and more for 5 ms."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float
    memo: dict[str, str] = {}


def _parse(text: str) -> Any:
    try:
        return _scan(text.strip(), 0)[0]
    except StopIteration:
        raise ValueError("not JSON") from None


try:
    from _json import make_scanner

    _context: Any = _Plain
    _scan: Any = make_scanner(_context)
except ImportError:  # an interpreter without the accelerator
    from json.decoder import JSONDecoder

    _decoder: Any = JSONDecoder()
    _scan = _decoder.scan_once
