"""One warning per trouble, on standard error: a tracker that raises or floods the terminal ends up switched off.

Under GITTRACK_STRICT=1 the trouble is raised instead, so that tests (ours and the user's) see it.
"""

from __future__ import annotations

import os
import sys

_said: set[str] = set()


class WrongUse(ValueError):
    """What the caller passed cannot be recorded. Raised under GITTRACK_STRICT=1 only."""


def say(text: str) -> None:
    """Tell the user something that is no trouble."""
    try:
        sys.stderr.write(f"gittrack: {text}\n")
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - a closed or missing stderr (pythonw, daemons) must not end the training
        pass


def strict() -> bool:
    """Whether troubles are raised."""
    return os.environ.get("GITTRACK_STRICT", "0") not in ("", "0")


def is_new(key: str) -> bool:
    """Whether `complain(key, ...)` would say something."""
    return key not in _said and len(_said) <= 1000


def complain(key: str, text: str, error: BaseException | None = None) -> None:
    """Say `text` the first time that `key` comes up in this process. Never raises unless strict."""
    if strict():
        raise error or WrongUse(text)
    if key in _said or len(_said) > 1000:
        return
    _said.add(key)
    say(text)
