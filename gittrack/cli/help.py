"""Help as values, so that the terminal, the man page and docs/commands.md say the same thing from one source.

click's own help re-wraps examples and typer's loads rich (40 ms), so a command is first read into a `Page` and then
printed with the standard library alone.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import click
import typer
import typer.core
from typer.utils import get_params_from_function

from gittrack import errors
from gittrack.cli import context
from gittrack.cli.commands import COMMANDS, SECTIONS
from gittrack.cli.frame import PROGRAM, Group, build

WIDEST = 100
TERM = 26  # the widest term that shares its line with its text

TAGLINE = "every training run is a commit on a hidden ref of your own git repository"
EXAMPLES = (
    ("git track run python train.py --lr 0.01", "run a training and record it"),
    ("git track ls", "list runs"),
    ("git track show latest", "what the last one did"),
    ("git track diff best latest", "what changed, code included"),
    ("git track compare --where 'params.lr > 0.01'", "the table"),
)


class Page(NamedTuple):
    """What there is to say about one command."""

    name: str
    usage: str
    summary: str
    paragraphs: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]


def page(command: click.Command, ctx: click.Context) -> Page:
    """Read the help of `command` into a value."""
    text, _, examples = (command.help or "").partition("Examples:\n")
    summary, *paragraphs = (_one_line(part) for part in re.split(r"\n\s*\n", text.strip()))
    texts = _texts(command)
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    for param in command.get_params(ctx):
        if isinstance(param, typer.core.TyperArgument) and not param.help:
            param.help = texts.get(param.name or "")
        record = param.get_help_record(ctx)
        if record is not None:
            (arguments if isinstance(param, click.Argument) else options).append(record)
    return Page(
        name=command.name or "",
        usage=f"{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}",
        summary=summary,
        paragraphs=tuple(paragraphs),
        arguments=tuple(arguments),
        options=tuple(options),
        examples=tuple(line for line in textwrap.dedent(examples).splitlines() if line.strip()),
    )


def read(name: str) -> Page:
    """The page of the command called `name`. Raises UsageError for an unknown one."""
    if name not in COMMANDS:
        raise errors.UsageError(f"`{name}` is not a command of {PROGRAM}", f"`{PROGRAM} help` lists the commands")
    root = click.Context(Group.root(), info_name=PROGRAM)
    command = build(name)
    return page(command, command.make_context(name, [], parent=root, resilient_parsing=True))


def overview() -> str:
    """What `git track` alone prints."""
    width = max(len(name) for name in COMMANDS) + 2
    blocks = [f"{_bold(PROGRAM)}: {TAGLINE}", f"{_bold('Usage:')} {PROGRAM} [-C DIR] COMMAND [options]"]
    for section, entries in SECTIONS.items():
        rows = [f"  {name:{width}}{entry.summary}" for name, entry in entries.items()]
        blocks.append("\n".join([_bold(f"{section}:"), *rows]))
    wide = max(len(call) for call, _ in EXAMPLES) + 2
    shown = [f"  {call:{wide}}{_dim(what)}" for call, what in EXAMPLES]
    blocks.append("\n".join([_bold("Examples:"), *shown]))
    blocks.append(f"`{PROGRAM} help COMMAND` says more about one command; `git help track` is the manual.")
    return "\n\n".join(blocks) + "\n"


def terminal(command: click.Command, ctx: click.Context) -> str:
    """The help of one command as text for this terminal."""
    return render(page(command, ctx))


def render(shown: Page) -> str:
    """`shown` as text, at most `WIDEST` columns."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    blocks = [textwrap.fill(f"{_bold('Usage:')} {shown.usage}", width, subsequent_indent=" " * 7)]
    blocks += [textwrap.fill(text, width) for text in (shown.summary, *shown.paragraphs)]
    for title, rows in (("Arguments", shown.arguments), ("Options", shown.options)):
        if rows:
            blocks.append("\n".join([_bold(f"{title}:"), *_definitions(rows, width)]))
    if shown.examples:
        blocks.append("\n".join([_bold("Examples:"), *(f"  {line}" for line in shown.examples)]))
    return "\n\n".join(blocks) + "\n"


def _texts(command: click.Command) -> dict[str, str | None]:
    """The help of each parameter as the function gives it: click 8.5 empties that of typer 0.25's arguments."""
    if command.callback is None:
        return {}
    declared = get_params_from_function(command.callback)
    return {name: getattr(meta.default, "help", None) for name, meta in declared.items()}


def _definitions(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    indent = min(max(len(term) for term, _ in rows), TERM) + 4
    lines = []
    for term, text in rows:
        wrapped = textwrap.wrap(text, max(width - indent, 30)) or [""]
        if len(term) + 4 <= indent:
            lines.append(f"  {term:{indent - 2}}{wrapped[0]}".rstrip())
            wrapped = wrapped[1:]
        else:
            lines.append(f"  {term}")
        lines += [" " * indent + line for line in wrapped if line]
    return lines


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if context.output_colour() else text


def _dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if context.output_colour() else text


def help_command(
    topic: Annotated[str | None, typer.Argument(metavar="[COMMAND]", help="The command to explain.")] = None,
) -> None:
    """Show help on git track or on one of its commands.

    The same text comes from `git track COMMAND --help`; the whole manual from `git help track`.

    Examples:
      git track help
      git track help compare
    """
    sys.stdout.write(overview() if topic is None else render(read(topic)))
