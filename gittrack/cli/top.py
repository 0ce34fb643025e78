"""`git track top`: what jobs use of their hosts at the moment."""

from typing import Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import render, run_at_host
from gittrack.cli.context import here, output_colour
from gittrack.cli.host_talk import talk
from gittrack.cli.render import say
from gittrack.compare.text import MISSING, cell, size
from gittrack.core import codec
from gittrack.core.layout import SHORT
from gittrack.launch import usage
from gittrack.launch.link import hosts
from gittrack.launch.usage import Use
from gittrack.runs import away, live


def top(
    host: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST...]", help="Those hosts; else all where runs of this clone are."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with everything that is known.")] = False,
) -> int:
    """Show what jobs use of their hosts: CPU, memory, GPUs.

    One line per job that is running at a host where this clone has a run, or at those that are named; jobs of others,
    too.

    Examples:
      git track top
      git track top gpu1
      watch -n 5 git track top
    """
    place = here()
    names = list(dict.fromkeys(host or _hosts()))
    found, failed = usage.look(
        [hosts.find(place.settings, name) for name in names], run_at_host.clone(place).environ, talk()
    )
    for problem in failed.values():
        say(problem)
    answered = [name for name in names if name not in failed]
    if as_json:
        render.write(codec.dumps([_document(use) for use in found]).decode())
    elif found:
        render.write(render.table(_columns(found), render.terminal_width(), output_colour())[0])
    elif answered or not names:
        render.say("no job is running" + (f" at {', '.join(answered)}" if answered else ""))
    return errors.HostFailed.exit_code if failed else 0


def _hosts() -> list[str]:
    place = here()
    known = [away.read(live.folder(place.paths, run_id)) for run_id in live.ids(place.paths)]
    return sorted({found.host for found in known if found is not None})


def _columns(found: list[Use]) -> list[render.Column]:
    gpus = [_gpus(use) for use in found]
    columns = [
        render.Column("id", [use.run[:SHORT] for use in found]),
        render.Column("host", [cell(use.host) for use in found]),
        render.Column("user", [cell(use.user.partition(" <")[0]) for use in found]),
        render.Column("cpu", [f"{use.cpu:.0f}%" for use in found], True),
        render.Column("memory", [size(use.memory) for use in found], True),
        render.Column("of", [size(use.limit) for use in found], True),
    ]
    return [*columns, render.Column("gpus", gpus)] if any(text != MISSING for text in gpus) else columns


def _gpus(use: Use) -> str:
    """`0: 93% 20.1 GB of 24.0 GB`."""
    texts = [f"{gpu.number}: {gpu.busy or 0}% {size(gpu.used)} of {size(gpu.memory)}" for gpu in use.gpus]
    return ", ".join(texts) or MISSING


def _document(use: Use) -> dict[str, Any]:
    return {**use._asdict(), "gpus": [gpu._asdict() for gpu in use.gpus]}
