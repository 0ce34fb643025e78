"""Runs gathered into groups of equal settings: each metric as n, mean ± std, and Welch's test against the baseline.

The p-values are of single tests: with many groups or metrics, some fall below 0.05 by chance alone.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gittrack.compare.listing import SYSTEM, differing
from gittrack.compare.text import cell
from gittrack.core import codec, fields, stats
from gittrack.errors import UsageError
from gittrack.runs.row import Row

_SEED = re.compile(r"(?:.*[._/-])?(?:seeds?|rng|random_?seed|random[._-]?state)\Z", re.IGNORECASE)


class Group(NamedTuple):
    """Runs with equal values of the keys. `values`: metric -> its values, one per run that has it."""

    key: tuple[Any, ...]
    runs: list[str]
    values: dict[str, list[float]]


class Statistic(NamedTuple):
    """One metric of one group. `p` is None for the baseline's group and where there is none."""

    n: int
    mean: float
    std: float
    p: float | None


def is_seed(name: str) -> bool:
    """Whether a parameter is a seed by its name: `seed`, `data.seed`, `random_state`, …"""
    return _SEED.match(name) is not None


def seed_keys(rows: Sequence[Row]) -> list[str]:
    """The keys that put runs together which differ in their seeds only. Raises UsageError when no seed differs."""
    names = differing(rows)
    if not any(map(is_seed, names)):
        raise UsageError(
            "these runs differ in no parameter that is a seed by its name (seed, data.seed, random_state, …)",
            "name what to group by: --group-by params.lr",
        )
    return [f"params.{name}" for name in names if not is_seed(name)]


def gather(
    rows: Sequence[Row],
    keys: Sequence[str],
    metrics: Sequence[Mapping[str, Any]] | None = None,
    everything: bool = False,
) -> list[Group]:
    """The groups of `rows` by the values of `keys` (names as in --where), ordered by those values.

    `metrics`: for each run its values, where the last ones are not what is wanted.
    """
    found: dict[bytes, Group] = {}
    for number, row in enumerate(rows):
        key = tuple(fields.value(row, name) for name in keys)
        group = found.setdefault(codec.dumps(key), Group(key, [], {}))
        group.runs.append(row.id)
        values = {n: s.get("last") for n, s in row.metrics.items()} if metrics is None else metrics[number]
        for name, value in values.items():
            if isinstance(value, (int, float)) and (everything or not name.startswith(SYSTEM)):
                group.values.setdefault(name, []).append(float(value))
    return sorted(found.values(), key=lambda group: [_rank(value) for value in group.key])


def _rank(value: Any) -> tuple[int, float, str]:
    if isinstance(value, (int, float)) and value == value:
        return (0, value, "")
    return (1, 0.0, cell(value)) if value is not None else (2, 0.0, "")


def names(groups: Sequence[Group]) -> list[str]:
    """All metrics of the groups, by name."""
    return sorted({name for group in groups for name in group.values})


def statistic(group: Group, metric: str, baseline: Group | None) -> Statistic | None:
    """A metric of `group`, tested against `baseline`; None when no run of the group has it."""
    values = group.values.get(metric)
    if not values:
        return None
    n, mean, std = stats.summarize(values)
    p = None
    if baseline is not None and baseline is not group and metric in baseline.values:
        p = stats.welch(values, baseline.values[metric]).p
    return Statistic(n, mean, std, p)
