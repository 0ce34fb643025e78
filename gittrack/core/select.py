"""What people type to say which run they mean: `7c21f`, `baseline`, `latest~2`, `best:val/acc`, `7c21f@10`.

Parsing is pure and decides nothing that only the runs themselves can tell (whether `map@50` is a metric, whether
`cafe` is a name): it hands on every reading, and `runs/selectors.py` tries them in turn. What makes that safe is
`validate_name`: a name that could be read as anything else is refused when it is given.
"""

import re
from typing import NamedTuple

from gittrack import errors
from gittrack.core import layout

KEYWORDS = ("latest", "best")
SHORTEST_PREFIX = 4
LONGEST_NAME = 200

_HEX = re.compile(r"[0-9a-f]+\Z", re.IGNORECASE)
_LATEST = re.compile(r"latest(?:~(\d{1,9}))?\Z")
_STEP = re.compile(r"-?\d{1,18}\Z")


class Selector(NamedTuple):
    """One reading of a selector. `kind` says which fields count; `point` is None, "best", "latest" or a step."""

    kind: str  # prefix | name | latest | best
    text: str  # the prefix or name
    back: int  # latest~back
    metric: str | None  # best:metric
    point: str | int | None  # after the @


def parse_selector(text: str) -> list[Selector]:
    """Every reading of `text`, the likeliest first. Raises UsageError for text that can have none."""
    if not text.strip():
        raise errors.UsageError("an empty selector names no run", "give an id, a name, `latest` or `best`")
    head, at, tail = text.rpartition("@")
    readings = _readings(text, None)
    if at and head and (tail in KEYWORDS or _STEP.match(tail)):
        # `best:map@50` is the metric map@50 where there is one; every other text splits at its last @
        split = _readings(head, tail if tail in KEYWORDS else int(tail))
        return [*readings, *split] if readings[0].kind == "best" else [*split, *readings]
    return readings


def _readings(text: str, point: str | int | None) -> list[Selector]:
    latest = _LATEST.match(text)
    if latest:
        return [Selector("latest", "", int(latest[1] or 0), None, point)]
    if text == "best" or text.startswith("best:"):
        return [Selector("best", "", 0, text[5:] or None, point)]
    run_id = layout.id_of_ref(text)
    if run_id:
        return [Selector("prefix", run_id, 0, None, point)]
    name = Selector("name", text, 0, None, point)
    if (
        _looks_like_id(text) and len(text) <= layout.ID_LENGTH
    ):  # a name of that form can come from elsewhere: pulled, or older than the rule
        return [Selector("prefix", text.lower(), 0, None, point), name]
    return [name]


def validate_name(name: str) -> str:
    """`name`, when a run may be called so. Raises UsageError where it could not be selected by that name later."""
    problem, hint = _problem(name)
    if problem:
        raise errors.UsageError(f"a run cannot be called {name[:60]!r}: {problem}", hint)
    return name


def _problem(name: str) -> tuple[str, str]:
    if not name or name != name.strip() or not name.isprintable():
        return "a name is one line of text, without blanks at its ends", "choose another name"
    if len(name) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} characters", "say the rest in a note: git track note RUN TEXT"
    if _looks_like_id(name):
        return "it looks like the beginning of a run id", f"add a letter after f, or a hyphen: {name[:40]}-run"
    if name.startswith("best:") or name in KEYWORDS or _LATEST.match(name):
        return "it is a keyword of selectors", f"choose another name, for example {name.partition(':')[0]}-run"
    if "@" in name:
        return "@ stands before the step of a checkpoint", "use a hyphen: " + name.replace("@", "-")[:60]
    if name.startswith(("-", "refs/")):
        return "it would be taken for an option or a ref", f"choose another name: {name.strip('-')[:60] or 'run'}"
    return "", ""


def is_short_prefix(text: str) -> bool:
    """Whether `text` would be the beginning of an id, if it were longer."""
    return 0 < len(text) < SHORTEST_PREFIX and _HEX.match(text) is not None


def _looks_like_id(text: str) -> bool:
    return len(text) >= SHORTEST_PREFIX and _HEX.match(text) is not None
