"""Records the parameters of programs that use argparse, without a line changed in them.

The parsing methods are wrapped, and only looked at: results, exceptions and exits are the program's. What counts is the
outermost call: sub-parsers, and the parser that a custom action runs, are part of it.
"""

from __future__ import annotations

import os
import sys

from .complain import complain
from .opening import open_journal
from .plain import plain_params
from .wrapping import is_wrapped, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_METHODS = ("parse_args", "parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args")
_parsing: set[int] = set()


def install() -> None:
    """Wrap the methods of `argparse.ArgumentParser`. May be called twice."""
    parser = sys.modules["argparse"].ArgumentParser
    for name in _METHODS:
        method = parser.__dict__[name]
        if not is_wrapped(method):
            setattr(parser, name, wrapped(method, _parsing, _record))


def _record(result: Any, _args: object, _named: object) -> None:
    try:
        run_dir = os.environ.get("GITTRACK_RUN_DIR", "")
        if not run_dir or (_is_tool() and not _is_first(run_dir)):
            return
        journal = open_journal(quiet=True)
        if journal is not None:
            space = result[0] if isinstance(result, tuple) else result
            journal.event("params", source="argparse", values=plain_params(vars(space)))
            _is_first(run_dir)
    except Exception as error:  # noqa: BLE001 - the program must get its arguments whatever is wrong with its tracker
        complain("argparse", f"the program's arguments were not recorded: {error}", error)


def _is_tool() -> bool:
    """Whether the program was installed rather than written here: compilers, linters and servers that a training starts
    parse arguments as well. The first program of a run is recorded even so."""
    path = os.path.realpath(getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0])
    homes = {os.path.join(prefix, part, "") for prefix in (sys.prefix, sys.base_prefix) for part in ("bin", "lib")}
    return path.startswith((*homes, *map(os.path.realpath, homes)))


def _is_first(run_dir: str) -> bool:
    """Whether no program of this run had its arguments recorded; from then on some has."""
    try:
        os.close(os.open(os.path.join(run_dir, "arguments"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return False
    return True
