"""`git track doctor`: everything that can be wrong, and what to run about it."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gittrack import errors
from gittrack.cli.context import here, output_colour
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.findings import Finding

COLOURS = {"ok": "32", "info": "36", "warning": "33", "error": "31"}


def doctor(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also say what is in order.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with what is in order.")] = False,
) -> int:
    """Check the repository, the settings and the records.

    Looks at git and its version, the kind of repository, settings, remotes, file system, every record, its snapshot and
    its files, annotations, index, live runs and the log of operations. Changes nothing but the index, which is a cache.
    Exits with 65 when something is broken.

    Examples:
      git track doctor
      git track doctor --json
    """
    patient = lazy("gittrack.runs.findings").Patient(here().repository, os.environ)
    found: list[Finding] = list(lazy("gittrack.runs.doctor").examine(patient))
    if as_json:
        sys.stdout.write(json.dumps([one._asdict() for one in found]) + "\n")
    else:
        shown = [one for one in found if verbose or one.level != "ok"]
        sys.stdout.write("".join(map(_line, shown)))
        sys.stdout.write(_verdict(found))
    return errors.DamagedRecord.exit_code if any(one.level == "error" for one in found) else 0


def _line(one: "Finding") -> str:
    code, reset = (f"\033[{COLOURS[one.level]}m", "\033[0m") if output_colour() else ("", "")
    indent = " " * 9
    advice = f"{indent}{one.command}\n" if one.command else ""
    text = one.text.replace("\n", f"\n{indent}")
    return f"{code}{one.level:>7}{reset}  {text}\n{advice}"


def _verdict(found: "Sequence[Finding]") -> str:
    levels = [one.level for one in found]
    broken, odd = levels.count("error"), levels.count("warning")
    if not broken and not odd:
        return "all in order\n"
    return f"{broken} broken, {odd} to look at\n"
