"""Dates and durations as people type them: `2 days ago`, `yesterday`, `2026-11-01`, `5m`, `1h30m`.

The clock is an argument: nothing here knows what time it is. The way back, a duration as text, is in `spans`.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Fields = Sequence[int]  # year, month, day, hour, minute, second, and what time.struct_time has after them

_UNITS = {
    "ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0,
    "hour": 3600.0, "d": 86400.0, "day": 86400.0, "w": 604800.0, "week": 604800.0, "month": 2629746.0,
    "y": 31556952.0, "year": 31556952.0,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?) *([a-z]+)(?: +|(?=\d)|\Z)", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_before(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar (years from 1 on)."""
    years = year - (month <= 2)
    day_of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1  # the year begins in March
    return years * 365 + years // 4 - years // 100 + years // 400 + day_of_year - 719468


def utc_seconds(fields: Fields) -> float:
    """Seconds since the epoch of a time in UTC."""
    year, month, day, hour, minute, second = fields[:6]
    return days_before(year, month, day) * 86400.0 + hour * 3600 + minute * 60 + second


def utc_fields(seconds: float) -> Fields:
    """(year, month, day, hour, minute, second) in UTC."""
    days, rest = divmod(int(seconds // 1), 86400)
    days += 719468
    era, of_era = divmod(days, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return (year + era * 400 + (month <= 2), month, day, rest // 3600, rest % 3600 // 60, rest % 60)


class Clock(NamedTuple):
    """What time it is, and what zone dates are meant in.

    On a command line: `Clock(time.time(), lambda fields: time.mktime((*fields, 0, 0, -1)), time.localtime)`.
    """

    now: float
    seconds: Callable[[Fields], float] = utc_seconds
    fields: Callable[[float], Fields] = utc_fields


class Span(NamedTuple):
    """A stretch of time: a day for `yesterday`, an instant (`start == end`) for `2 hours ago`."""

    start: float
    end: float


def parse_duration(text: str) -> float | None:
    """Seconds for `5m`, `1h30m`, `2 days`, `250ms`; None for anything else. `m` is minutes."""
    text = text.strip().lower()
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        unit = part and (_UNITS.get(part[2]) or _UNITS.get(part[2].removesuffix("s")))
        if not part or not unit:
            return None
        total += float(part[1]) * unit
        at = part.end()
    return total if at else None


def parse_moment(text: str, clock: Clock) -> Span | None:
    """The time that `text` names, or None.

    Understood: `now`, `today`, `yesterday`, `<duration> ago`, `YYYY-MM-DD`, and that with `HH:MM` or `HH:MM:SS` and a
    zone (`Z`, `+01:00`). Without a zone it is a local time of `clock`.
    """
    text = text.strip()
    word = text.lower()
    if word == "now":
        return Span(clock.now, clock.now)
    if word in ("today", "yesterday"):
        return _day(utc_fields(utc_seconds(_midnight(clock.fields(clock.now))) - 86400 * (word == "yesterday")), clock)
    if word.endswith(" ago"):
        seconds = parse_duration(word[:-4])
        return None if seconds is None else Span(clock.now - seconds, clock.now - seconds)
    match = _DATE.match(text)
    return _date(match, clock) if match else None


def _date(match: re.Match[str], clock: Clock) -> Span | None:
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    hour, minute, second = (int(part or 0) for part in match.group(4, 5, 6))
    if not (year and 1 <= month <= 12 and 1 <= day <= _days(year, month) and hour < 24 and minute < 60 and second < 60):
        return None
    fields = (year, month, day, hour, minute, second)
    if match[7]:
        zone = match[7].replace(":", "").replace("Z", "+0000")
        offset = (int(zone[1:3]) * 3600 + int(zone[3:]) * 60) * (-1 if zone[0] == "-" else 1)
        start = utc_seconds(fields) - offset
        return Span(start, start + (86400 if match[4] is None else 1 if match[6] else 60))
    if match[4] is None:
        return _day(fields, clock)
    local = _local(fields, clock)
    return None if local is None else Span(local, local + (1 if match[6] else 60))


def _days(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 28 if month == 2 and not leap else _MONTH_DAYS[month - 1]


def _midnight(fields: Fields) -> Fields:
    return (*fields[:3], 0, 0, 0)


def _day(fields: Fields, clock: Clock) -> Span | None:
    start = _local(_midnight(fields), clock)
    end = _local(_midnight(utc_fields(utc_seconds(_midnight(fields)) + 86400)), clock)
    return None if start is None or end is None else Span(start, end)


def _local(fields: Fields, clock: Clock) -> float | None:
    try:
        return clock.seconds(fields)
    except (OverflowError, ValueError):  # the platform's mktime knows fewer years than the calendar has
        return None
