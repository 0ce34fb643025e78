"""`git track logs`: what a run printed."""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from gittrack.cli.asking import find, fresh
from gittrack.cli.context import Workplace
from gittrack.cli.options import RECONNECT
from gittrack.cli.render import put, say, write
from gittrack.compare.following import follow
from gittrack.compare.text import harmless, json_text
from gittrack.core import layout, spans
from gittrack.errors import UsageError
from gittrack.lazy import lazy
from gittrack.runs import away, live, reader


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run.")] = "latest",
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    number: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, metavar="N", help="Only the last N lines so far.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="As it was printed, whatever it makes a terminal do.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: the run, whether it goes on, its lines.")
    ] = False,
    reconnect: RECONNECT = None,
) -> None:
    """Print the recorded console of a run.

    Standard output and error of the run, in the order in which they came, as a terminal would show them in the end:
    secrets taken out, rewrites of a progress bar collapsed. Without RUN, the latest.

    What runs of others printed may hold sequences that drive a terminal. All but colours and styles are shown as text
    where this clone has not recorded the run itself, or did so months ago; --raw prints them as they are.

    Examples:
      git track logs -f
      git track logs latest~1 -n 20
    """
    if following and as_json:
        raise UsageError("--json is one document, and --follow goes on", "git track logs --json, or -f alone")
    run_id = find(run, deleted=True).id
    if as_json:
        write(_document(run_id, number))
    else:
        show(run_id, number, following, raw, reconnect)


def _document(run_id: str, number: int | None) -> str:
    place = fresh()
    pieces = reader.console(place.repository, reader.read(place.repository, run_id))
    text = b"".join(pieces if number is None else last(pieces, number)).decode(errors="replace")
    lines = text.removesuffix("\n").split("\n") if text else []
    going = os.path.isdir(live.folder(place.paths, run_id))
    return json_text(json.dumps({"run": run_id, "live": going, "lines": lines}, ensure_ascii=False)) + "\n"


def show(
    run_id: str, number: int | None = None, following: bool = False, raw: bool = False, reconnect: int | None = None
) -> None:
    """Print what is asked for."""
    place = fresh()
    directory = live.folder(place.paths, run_id)
    if following and away.is_there(directory):
        lazy("gittrack.cli.attach").follow(run_id, number, reconnect)
        return
    if following and os.path.isdir(directory):
        pieces = follow(directory)
        if number is not None:
            say("-n is left aside: --follow prints the console from its beginning")
    else:
        record = reader.read(place.repository, run_id)
        pieces = reader.console(place.repository, record)
        if number is not None:
            pieces = last(pieces, number)
    if not raw and not _is_own(place, run_id):
        pieces = harmless(pieces)
    printed = False
    for data in pieces:
        printed = printed or bool(data)
        put(data)
        sys.stdout.buffer.flush()
    short, sent = run_id[: layout.SHORT], away.read(directory) if live.is_away(directory) else None
    if sent is not None:
        ago = spans.format_duration(max(0.0, time.time() - sent.seen))
        what = "this is what had come" if printed else "nothing that it printed had come"
        say(f"run {short} is at {sent.host}: {what} when that was last asked, {ago} ago")
        say(f"`git track logs -f {short}` asks it again")
    elif not printed:
        say(f"run {short} printed nothing")


def _is_own(place: Workplace, run_id: str) -> bool:
    """Whether it was recorded here, or is being recorded."""
    known: bool = lazy("gittrack.runs.operations").has_recorded(place.paths, run_id)
    directory = live.folder(place.paths, run_id)
    return known or (os.path.isdir(directory) and not away.is_there(directory))


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
