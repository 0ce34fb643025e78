"""The exit code of this program, which Python tells nobody: `sys.exit(3)` ends a run that has failed.

The exception that sys.exit raises is replaced by one that notices where it dies. A program that ends by it lets it die
with no Python frame left; one that catches it and goes on has frames. Installed by the first run that a program begins.
"""

import sys
from typing import NoReturn

_codes: list[object] = []


class _Exit(SystemExit):
    def __del__(self) -> None:
        if sys._getframe().f_back is None:
            _codes.append(self.code)


def watch() -> None:
    """Begin to watch. May be called again."""
    if sys.exit is not _exit:
        sys.exit = _exit


def ending() -> SystemExit | None:
    """The exit that ends this program, for functions that are called at exit; None when it ends by itself."""
    return SystemExit(_codes[-1]) if _codes else None


def _exit(status: object = None, /) -> NoReturn:
    """Exit the interpreter by raising SystemExit(status), as the builtin does."""
    raise _Exit(*status) if isinstance(status, tuple) else _Exit() if status is None else _Exit(status)
