"""Which packages a project needs, out of the files of its snapshot: a lock file, or what is installed here. Pure."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from gittrack.errors import ImageFailed

UV, POETRY, PIP, FROZEN = "uv.lock", "poetry.lock", "requirements.txt", "frozen"
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:===?\s*([^\s;#,]+))?")
_LOCKED = re.compile(r'^\[\[package\]\]\s*\nname = "([^"\n]+)"\s*\nversion = "([^"\n]+)"', re.MULTILINE)
_INCLUDES = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]+(\S+)", re.MULTILINE)
_INDEXES = re.compile(r"^\s*(?:-i|--index-url|--extra-index-url|-f|--find-links|--no-index)\b", re.MULTILINE)
_LOCAL = re.compile(r"^\s*(?:-e\b|--editable\b|\.|file:)|@\s*file:")
_MOST_FILES = 50
_UNREAD = ("environment.yml", "environment.yaml", "conda-lock.yml", "pixi.lock", "Pipfile.lock", "pdm.lock")


class Packages(NamedTuple):
    kind: str  # UV, POETRY, PIP, FROZEN, or empty where nothing is known
    files: Mapping[str, bytes]  # what the installer reads, by path
    names: Mapping[str, str]  # package -> version, or empty
    has_index: bool = False  # whether the files say where packages come from
    left_out: tuple[str, ...] = ()  # lines that a host could not install

    @property
    def is_locked(self) -> bool:
        return self.kind in (UV, POETRY) or self.has_index


Read = Callable[[str], bytes | None]  # a file of the snapshot, None where it has none


def of_snapshot(read: Read) -> Packages | None:
    """What the lock file says, if there is one. Raises ImageFailed."""
    project = read("pyproject.toml")
    for kind in (UV, POETRY):
        lock = read(kind)
        if lock is not None:
            if project is None:
                raise ImageFailed(f"{kind} is there and pyproject.toml is not", "commit both, or name an --image")
            return Packages(kind, {"pyproject.toml": project, kind: lock}, dict(_LOCKED.findall(_text(lock))))
    return _requirements(read) if read(PIP) is not None else None


def unread(read: Read) -> str:
    """What to do about a file that names packages and is not understood; empty where there is none."""
    name = next((each for each in _UNREAD if read(each) is not None), "")
    return f"{name} is not read: write a Dockerfile that installs it (build: Dockerfile), or name an image" * bool(name)


def frozen(lines: str) -> Packages:
    """What is installed here, as `recorder.packages` lists it, or as the record of a run has it."""
    kept, left_out, indexes = [], [], set()
    for line in lines.splitlines():
        if line.startswith("#") or _LOCAL.search(line):
            left_out.append(line.lstrip("# "))
            continue
        name, _, version = line.partition("==")
        public, _, local = version.partition("+")  # 2.4.0+cu121: an index of its own has it, the usual one 2.4.0
        if name == "gittrack":
            continue
        if re.fullmatch(r"cu\d+", local):
            indexes.add(local)
        kept.append(f"{name}=={public}" if local and "@" not in line else line)
    text = "".join(f"{line}\n" for line in kept)
    return Packages(FROZEN, {PIP: text.encode()}, _named(text), False, tuple(left_out))


def python_of(read: Read) -> str | None:
    """The version in `.python-version`, without what is after the minor one."""
    found = re.match(r"\s*(\d+\.\d+)", _text(read(".python-version") or b""))
    return found[1] if found else None


def _requirements(read: Read) -> Packages:
    """requirements.txt and all that it includes; without what is a folder here, since code is not in images."""
    files: dict[str, bytes] = {}
    left_out: list[str] = []
    waiting = [PIP]
    while waiting and len(files) < _MOST_FILES:
        path = waiting.pop()
        if path in files:
            continue
        data = read(path)
        if data is None:
            raise ImageFailed(f"{path}, which the requirements include, is not in the snapshot", "commit it")
        lines = _text(data).splitlines()
        left_out += [line.strip() for line in lines if _LOCAL.search(line)]
        text = "".join(f"{line}\n" for line in lines if not _LOCAL.search(line))
        files[path] = text.encode()
        folder = path.rpartition("/")[0]
        waiting += [_joined(folder, each) for each in _INCLUDES.findall(text) if "://" not in each]
    whole = "".join(_text(data) for data in files.values())
    return Packages(PIP, files, _named(whole), bool(_INDEXES.search(whole)), tuple(left_out))


def lines_of(packages: Packages, names: Collection[str]) -> list[str]:
    """What requirements say of some packages, without options and remarks."""
    lines = "\n".join(_text(data) for data in packages.files.values()).splitlines()
    said = [re.sub(r"\s+(#|--).*|\\$", "", line).strip() for line in lines]
    return sorted({line for line in said if set(_named(line)) & set(names)})


def _joined(folder: str, name: str) -> str:
    parts = [part for part in f"{folder}/{name}".split("/") if part not in ("", ".")]
    while ".." in parts:
        place = parts.index("..")
        if place == 0:
            raise ImageFailed(
                f"{name}, which the requirements include, is outside of the repository", "move it into it"
            )
        del parts[place - 1 : place + 1]
    return "/".join(parts)


def _named(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        match = _NAME.match(line.strip())
        if match and not line.lstrip().startswith(("#", "-")):
            found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2] or ""
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


PROBE = "import json, sys; print(json.dumps([sys.path[1:], '%d.%d' % sys.version_info[:2]]))"


def probed(output: bytes) -> tuple[list[str], str]:
    """What an interpreter that was run with PROBE said: its path, and its version."""
    try:
        path, version = json.loads(output)
        return [str(each) for each in path if each], str(version)
    except (ValueError, TypeError):
        return [], ""
