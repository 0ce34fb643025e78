"""The interpreter of this process and what is installed for it, as a requirements.txt.

Read from the names of folders on sys.path: importlib.metadata would cost every program 40 ms and more. Sources other
than an index (a git commit, a local folder) are in `direct_url.json`, which few packages have.
"""

from __future__ import annotations

import os
import sys

from .join import open_journal
from .secret_names import clean_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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
        for name, line in _installed(folder):
            lines.setdefault(name, line)
    return "".join([lines[name] + "\n" for name in sorted(lines)])


def _installed(folder: str) -> Iterator[tuple[str, str]]:
    try:
        entries = os.listdir(folder or ".")
    except OSError:  # an archive, or not there
        return
    for entry in entries:
        stem, dot, kind = entry.rpartition(".")
        if dot and kind in ("dist-info", "egg-info"):
            place = os.path.join(folder, entry)
            name, _, version = stem.partition("-")
            if version:
                # A folder's name ends with the version; an egg's goes on with the Python version and platform.
                yield _normal(name), _line(name, version.partition("-")[0], place)
            else:
                yield _normal(name), f"# {name} (in development, {folder})"


def _line(name: str, version: str, place: str) -> str:
    try:
        with open(os.path.join(place, "direct_url.json"), encoding="utf-8") as file:
            source = _parse(file.read())
        return _sourced(name, version, source)
    except (OSError, ValueError, TypeError, AttributeError):  # from an index, as nearly all; or not as specified
        return f"{_normal(name)}=={version}"


def _sourced(name: str, version: str, source: dict[str, Any]) -> str:
    """The line of a package installed from `source` (PEP 610)."""
    url = clean_text(source["url"])
    commit = source.get("vcs_info")
    if commit:
        return f"{_normal(name)} @ {commit['vcs']}+{url}@{commit['commit_id']}"
    if url.startswith("file:"):
        how = "editable, " if source.get("dir_info", {}).get("editable") else ""
        return f"# {_normal(name)}=={version} ({how}{url})"
    return f"{_normal(name)} @ {url}"


def _normal(name: str) -> str:
    """One spelling for all that an index takes for the same name (PEP 503)."""
    return "-".join(name.replace("_", " ").replace(".", " ").replace("-", " ").lower().split())


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
