"""The card of a run and the sections of a diff, printed; and the user's pager, found as git finds it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from gittrack.cli import render
from gittrack.cli.context import output_colour
from gittrack.compare.card import Part
from gittrack.git.command import Git

INDENT = "  "
FALSE = ("false", "no", "off", "0", "")


def title(text: str) -> str:
    """The first line of a page."""
    return render.paint(text, "yellow", output_colour()) + "\n"


def part(found: Part, state: str = "") -> str:
    """A heading with its lines and table. `state` colours the line that says it."""
    colour = output_colour()
    pieces = [f"\n{render.paint(found.heading, 'bold', colour)}\n"] if found.heading else []
    space = max((len(label) for label, _ in found.lines), default=0)
    for label, text in found.lines:
        shown = render.paint(text, render.state_style(state), colour) if label == "state" else text
        left = f"{render.paint(label, 'dim', colour)}{' ' * (space - len(label))}  " if space else ""
        pieces.append(f"{INDENT if found.heading else ''}{left}{shown}\n")
    if found.rows:
        columns = [
            render.Column(
                name, [row[n] for row in found.rows], n in found.right, keep=found.keep[n] if found.keep else 5
            )
            for n, name in enumerate(found.titles)
        ]
        room = render.terminal_width()
        text, _ = render.table(columns, room - len(INDENT) if room else None, colour)
        pieces += [f"{INDENT}{line}\n" for line in text.splitlines()]
    return "".join(pieces)


def pager_command(git: Git, command: str) -> str | None:
    """The shell command of the pager for `git COMMAND`, or None when there is to be none.

    As git does: `pager.<command>` may be a truth value or a command; else $GIT_PAGER, core.pager, $PAGER, less.
    """
    if not sys.stdout.isatty():
        return None
    setting = git.call("config", "--get", f"pager.{command}")
    value = os.fsdecode(setting.out).strip()
    if setting.code == 0 and value.lower() in FALSE:
        return None
    chosen = value if setting.code == 0 and value.lower() not in ("true", "yes", "on", "1") else ""
    chosen = chosen or os.fsdecode(git.run("var", "GIT_PAGER")).strip()
    return None if chosen in ("", "cat") else chosen


@contextlib.contextmanager
def paged(git: Git, command: str) -> Iterator[int]:
    """The descriptor to write to: that of the pager when standard output is a terminal, else of standard output."""
    chosen = pager_command(git, command)
    sys.stdout.flush()
    if chosen is None:
        yield sys.stdout.fileno()
        return
    settings = {"LESS": "FRX", "LV": "-c", **git.environ}  # git's own defaults
    with subprocess.Popen(["sh", "-c", chosen], stdin=subprocess.PIPE, env=settings) as pager:
        assert pager.stdin is not None
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the pager
        try:
            yield pager.stdin.fileno()
        except BrokenPipeError:
            pass  # the reader has seen enough
        finally:
            with contextlib.suppress(BrokenPipeError):
                pager.stdin.close()
            pager.wait()
            signal.signal(signal.SIGINT, before)


def put(descriptor: int, text: str) -> None:
    """Write all of `text` there."""
    data = text.encode(errors="backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
