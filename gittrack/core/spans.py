"""Durations and ages as short text. `moments` reads them; a listing only writes, and need not load a parser."""


def format_duration(seconds: float) -> str:
    """A duration in at most two units: `0.4s`, `12s`, `3m 05s`, `2h 10m`, `4d 03h`."""
    if seconds != seconds or seconds < 0:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def format_age(seconds: float) -> str:
    """How long ago in one unit: `now`, `40s`, `5m`, `3h`, `12d`, `7w`, `2y`."""
    if seconds < 1:
        return "now"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h"), (1209600, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds // 604800)}w" if seconds < 31556952 * 2 else f"{int(seconds // 31556952)}y"
