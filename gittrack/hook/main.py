"""Where git's hooks enter: one call, one hook, and whatever goes wrong in it is said and forgotten.

A commit belongs to the user. Only what a hook has found may stop it, by the exit code REFUSED; that gittrack is broken,
its settings are, the repository is, or the disk is full must not. The scripts that git calls (`git.hook_script`) take
every other exit code for a failure of ours, since an interpreter that does not come up ends with 1 by itself.
"""

import contextlib
import os
import sys

from gittrack import errors
from gittrack.config import environment
from gittrack.lazy import lazy

REFUSED = 3  # the one exit code that stops git
GUARD = "GITTRACK_IN_HOOK"  # set for what a hook starts, so that its git calls do not come here again
HOOKS = {
    "pre-commit": "gittrack.hook.before_commit:check",
    "pre-merge-commit": "gittrack.hook.before_commit:check_merge",
    "prepare-commit-msg": "gittrack.hook.message:prepare",
    "commit-msg": "gittrack.hook.message:check",
    "post-commit": "gittrack.hook.after:committed",
    "post-rewrite": "gittrack.hook.after:rewritten",
    "pre-push": "gittrack.hook.before_push:push",
}


def main() -> None:
    """The console script. Does not return."""
    code = call(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # to take the interpreter apart in good order costs 9 ms of every commit


def call(argv: list[str]) -> int:
    """Run one hook; 0, or REFUSED when the user has to look at something first."""
    name, *args = argv or [""]
    if name not in HOOKS:
        say(f"git-track-hook: {name!r} is none of {', '.join(HOOKS)}")
        return 2
    environ = environment.current()
    if environ.get(GUARD):
        return 0
    module, _, function = HOOKS[name].partition(":")
    try:
        refused: bool = getattr(lazy(module), function)(environ, args)
    except KeyboardInterrupt:
        return 130
    except errors.GittrackError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return _skipped(name, error.message + hint)
    except Exception as error:  # noqa: BLE001 - the user's commit must not suffer from our faults
        return _skipped(name, f"{type(error).__name__}: {error}")
    return REFUSED if refused else 0


def say(text: str) -> None:
    """To the user. A terminal that is gone is no reason to fail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{printable(text)}\n")


def printable(text: str) -> str:
    """Nothing that would drive the terminal: names of files come from anywhere."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _skipped(name: str, why: str) -> int:
    say(f"gittrack: the {name} hook could not do its work, and git goes on without it: {why}")
    return 0
