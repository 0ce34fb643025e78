"""Metrics and parameters that a script keeps in files of its own, declared in gittrack.yaml: the script stays as it is.

A file counts from when it differs from what stood there before the run. Nothing here raises for what is in a file: a
file that is missing, stale or broken becomes one warning in the record.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from gittrack.lazy import lazy
from gittrack.record import parameters

LARGEST = 64 * 1024 * 1024
STEP_COLUMNS = ("step", "global_step", "iteration", "iter", "epoch", "batch", "round")
MESSAGES = 20

Points = list[tuple[Optional[int], dict[str, float]]]
_Stamp = tuple[int, int, int]


class Watch:
    """The declared files of one run. Make it before the command starts, or say since when the command runs."""

    def __init__(
        self, root: str, metric_files: Sequence[str], params_files: Sequence[str], since: float | None = None
    ) -> None:
        self._root = root
        self._metric_files = list(metric_files)
        self._params_files = list(params_files)
        self._seen: dict[str, _Stamp | None] = {
            path: stamp
            for pattern in metric_files
            for path in self._paths(pattern)
            if (stamp := _stamp(path)) and (since is None or stamp[0] < since * 1e9)
        }
        self._rows: dict[str, int] = {}
        self._reads: dict[str, int] = {}
        self._said: dict[str, None] = {}
        self._unsaid: list[str] = []
        self._read_params = False

    def params(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Source and values of each parameter file, once."""
        if self._read_params:
            return
        self._read_params = True
        for pattern in self._params_files:
            paths = self._paths(pattern)
            if not paths:
                self._say(f"the parameter file {pattern} is not there")
            for path in paths:
                value = self._load(path)
                if isinstance(value, Mapping):
                    yield f"file:{self._name(path)}", dict(_flat(value, "."))
                elif value is not None:
                    self._say(f"{self._name(path)} holds no names with values: its parameters were not recorded")

    def metrics(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Points of files that have changed since they were last looked at."""
        for pattern in self._metric_files:
            for path in self._paths(pattern):
                stamp = _stamp(path)
                if stamp == self._seen.get(path):
                    continue
                self._seen[path] = stamp
                yield from self._new_points(path)

    def missing(self) -> None:
        """The command has ended: what was declared and never came is worth a warning."""
        for pattern in self._metric_files:
            paths = self._paths(pattern)
            if not paths:
                self._say(f"the metric file {pattern} was not written")
            elif not any(path in self._reads for path in paths):
                self._say(f"the metric file {pattern} was not changed by this run: its old values were not recorded")

    def warnings(self) -> list[str]:
        """What there is to say that was not said before."""
        said, self._unsaid = self._unsaid, []
        return said

    def _new_points(self, path: str) -> Iterator[tuple[int, dict[str, float]]]:
        points = self._points(path)
        if points is None:
            return
        count = self._reads.get(path, 0)
        self._reads[path] = count + 1
        known = self._rows.get(path, 0)
        table = len(points) != 1 or known > 0
        start = known if known < len(points) else 0  # shorter, or as long: written anew
        self._rows[path] = len(points) if table else 0
        for row, (step, values) in enumerate(points[start:], start):
            yield (step if step is not None else row if table else count), values

    def _points(self, path: str) -> Points | None:
        value = self._load(path)
        if value is None:
            return None
        rows = value if isinstance(value, list) else [value]
        points = [_point(row) for row in rows if isinstance(row, Mapping)]
        points = [(step, values) for step, values in points if values]
        if not points:
            self._say(f"no numbers were found in {self._name(path)}")
            return None
        return points

    def _load(self, path: str) -> Any:
        """The file's value, None when it cannot be read now."""
        try:
            if os.path.getsize(path) > LARGEST:
                raise ValueError(f"larger than {LARGEST // 1024 // 1024} MiB")
            with open(path, encoding="utf-8-sig") as file:
                return _parse(path, file.read())
        except FileNotFoundError:
            return None
        except ImportError as error:  # where nothing is installed but Python
            self._say(f"{self._name(path)} was not read: this Python has no {error.name}")
            return None
        except (OSError, ValueError, RecursionError) as error:
            self._say(f"{self._name(path)} could not be read: {str(error)[:200]}")
            return None

    def _say(self, text: str) -> None:
        if text not in self._said and len(self._said) < MESSAGES:
            self._said[text] = None
            self._unsaid.append(text)

    def _paths(self, pattern: str) -> list[str]:
        whole = os.path.join(self._root, pattern)
        if not any(magic in pattern for magic in "*?["):
            return [whole] if os.path.isfile(whole) else []
        return sorted(path for path in lazy("glob").glob(whole, recursive=True) if os.path.isfile(path))

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self._root)


def _parse(path: str, text: str) -> Any:
    kind = os.path.splitext(path)[1].lower()
    if kind in (".yaml", ".yml"):
        return lazy("gittrack.record.documents").read_yaml(text)
    if kind == ".toml":
        return _toml(text)
    if kind in (".csv", ".tsv"):
        return list(lazy("csv").DictReader(io.StringIO(text), delimiter="\t" if kind == ".tsv" else ","))
    if kind in (".jsonl", ".ndjson"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return json.loads(text)


def _toml(text: str) -> Any:
    try:
        return lazy("tomllib").loads(text)
    except ImportError:
        raise ValueError("TOML needs Python 3.11 or later") from None


def _point(row: Mapping[str, Any]) -> tuple[int | None, dict[str, float]]:
    """Step, when a column says it, and the numbers of a mapping."""
    numbers = {name: number for name, value in _flat(row, "/") if (number := _number(value)) is not None}
    for name in STEP_COLUMNS:
        found = next((key for key in numbers if key.lower() == name), None)
        if found is not None and len(numbers) > 1 and float(numbers[found]).is_integer():
            return int(numbers.pop(found)), numbers
    return None, numbers


def _flat(value: Mapping[Any, Any], joint: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            yield from _flat(item, joint, name + joint)
        else:
            yield name, item


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        read = parameters.value(value)
        if isinstance(read, bool) or not isinstance(read, (int, float)):
            return math.nan if value.strip().lower() == "nan" else None
        return read
    return None


def _stamp(path: str) -> _Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
