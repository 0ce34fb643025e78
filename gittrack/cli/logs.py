"""`git track logs`: what a run printed."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from gittrack.cli.asking import find, fresh
from gittrack.cli.render import put, say
from gittrack.compare.following import follow
from gittrack.core import layout
from gittrack.runs import live, reader


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run.")] = "latest",
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    number: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, metavar="N", help="Only the last N lines so far.")
    ] = None,
) -> None:
    """Print the recorded console of a run.

    Standard output and error of the run, in the order in which they came, as a terminal would show them in the end:
    secrets taken out, rewrites of a progress bar collapsed. Without RUN, the latest.

    Examples:
      git track logs -f
      git track logs latest~1 -n 20
    """
    target = find(run, deleted=True)
    place = fresh()
    directory = live.folder(place.paths, target.id)
    if following and os.path.isdir(directory):
        pieces = follow(directory)
        if number is not None:
            say("-n is left aside: --follow prints the console from its beginning")
    else:
        record = reader.read(place.repository, target.id)
        pieces = reader.console(place.repository, record)
        if number is not None:
            pieces = last(pieces, number)
    printed = False
    for data in pieces:
        printed = True
        put(data)
        sys.stdout.buffer.flush()
    if not printed:
        say(f"run {target.id[: layout.SHORT]} printed nothing")


def last(pieces: Iterable[bytes], number: int) -> Iterator[bytes]:
    """The last `number` lines of what comes in pieces, holding no more than those and a piece in memory."""
    kept: deque[bytes] = deque(maxlen=min(number, sys.maxsize))
    rest = b""
    for data in pieces:
        *whole, rest = (rest + data).split(b"\n")
        kept.extend(line + b"\n" for line in whole)
    if rest:
        kept.append(rest)
    yield from kept
