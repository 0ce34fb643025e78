"""Metric values, names and steps: what a user may pass to `log`, turned into journal lines.

A line is made by `template % values`: names are quoted once per set of names, not once per call. That is how a line
with time and step costs less than json.dumps of its values.
"""

from __future__ import annotations

from .complain import complain
from .encode import SPELLED, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CACHE = 1000  # sets of names; beyond it somebody puts data into names


class Entry:
    """What is known of one set of names: its line, the step of its last line and when that was (0: never)."""

    __slots__ = ("names", "step", "template", "when")

    def __init__(self, names: tuple[str, ...], template: str) -> None:
        self.names = names
        self.template = template
        self.step = -1
        self.when = 0.0


class Series:
    """The sets of names logged so far by one process, and where each metric's counter stands."""

    def __init__(self) -> None:
        self.rank = 0
        self.known: dict[tuple[str, ...], Entry] = {}
        self._by_name: dict[str, list[Entry]] = {}
        self._settled: dict[str, tuple[float, int]] = {}

    def set_rank(self, rank: int) -> None:
        """Ranks above 0 are told apart in every line."""
        if rank != self.rank:
            self._settle()
            self.rank = rank

    def entry(self, names: tuple[str, ...]) -> Entry:
        """The entry of `names`, made when it is new."""
        entry = self.known.get(names)
        if entry is None:
            if len(self.known) >= _CACHE:
                self._settle()
            entry = Entry(names, template(names, self.rank))
            for name in names:
                self._by_name.setdefault(name, []).append(entry)
            self.known[names] = entry
        return entry

    def next_step(self, name: str) -> int:
        """One more than the last step of the metric `name`, 0 at first."""
        last = [(entry.when, entry.step) for entry in self._by_name.get(name, ()) if entry.when]
        if name in self._settled:
            last.append(self._settled[name])
        return max(last)[1] + 1 if last else 0

    def last(self) -> tuple[float, int] | None:
        """When a line was written last, of whatever metric, and its step."""
        last = [(entry.when, entry.step) for entry in self.known.values() if entry.when]
        last += self._settled.values()
        return max(last) if last else None

    def by_step(self, values: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        """Metrics without a step count each for itself: those at the same count go together."""
        groups: dict[int, dict[str, Any]] = {}
        for name, value in values.items():
            groups.setdefault(self.next_step(name), {})[name] = value
        return groups

    def line(self, values: Mapping[str, Any], step: int, t: float, w: float, now: float) -> str:
        """The line of `values`, which are as `clean` returns them; `now` orders lines of all metrics."""
        entry = self.entry((*values,))
        entry.step, entry.when = step, now
        return entry.template % (*values.values(), step, t, w)

    def _settle(self) -> None:
        """Forget the templates, keep the counters."""
        for name in [*self._by_name]:
            step = self.next_step(name) - 1
            if step >= 0 or any(entry.when for entry in self._by_name[name]):
                self._settled[name] = (max(entry.when for entry in self._by_name[name]), step)
        self.known.clear()
        self._by_name.clear()


def template(names: tuple[str, ...], rank: int = 0) -> str:
    """The `%` template of a metric line: values, step, t, w."""
    pairs = ",".join([quote(str.__str__(name)).replace("%", "%%") + ":%s" for name in names])
    place = f',"r":{rank}' if rank else ""
    return '{"m":{' + pairs + "}" + place + ',"s":%d,"t":%.6f,"w":%.3f}\n'


def clean(metrics: Any) -> dict[str, Any]:
    """`metrics` with plain values. What is no number is left out, with one warning per name."""
    try:
        items = dict(metrics).items()
    except (TypeError, ValueError):
        complain("metrics", f"log() takes a dict of numbers, not {type(metrics).__name__}: nothing was recorded")
        return {}
    values: dict[str, Any] = {}
    for name, value in items:
        if not isinstance(name, str):
            complain(f"name {name!r:.80}", f"the name of a metric is text, not {name!r:.80}: it is not recorded")
            continue
        try:
            values[name] = plain_number(value)
        except Exception as error:  # noqa: BLE001 - any type may come here and fail in its own way; the training goes on
            kind = type(value).__name__
            complain(f"metric {name}", f"metric {name!r:.80} is a {kind}, not a number: it is not recorded", error)
    return values


def plain_number(value: Any) -> Any:
    """An int, a finite float, or the JSON text of one that is not finite.

    Of bool, numpy scalars, 0-d tensors, Decimal, Fraction; raises for what is no number.
    """
    if not isinstance(value, (int, float)):
        item = getattr(value, "item", None)  # numpy and every tensor library
        if item is not None:
            value = item()
        if not isinstance(value, (int, float)):
            if isinstance(value, (complex, str, bytes)) or not hasattr(type(value), "__float__"):
                raise TypeError(f"not a number: {type(value).__name__}")
            value = float(value)
    if isinstance(value, int):
        value = int(value)  # True is 1
        float(value)  # a series of numbers that no float can hold helps nobody
        return value
    value = float(value)
    return value if value - value == 0.0 else SPELLED[repr(value)]


def integral(step: Any) -> int | None:
    """`step` as an int, or None with a warning: then the metrics count for themselves."""
    try:
        return int(step.__index__())
    except (AttributeError, TypeError):
        pass
    try:
        value = plain_number(step)
        if int(value) == value:
            return int(value)
    except Exception:  # noqa: BLE001 - as in `clean`
        pass
    complain("step", f"step must be a whole number, not {step!r:.80}: counting instead")
    return None
