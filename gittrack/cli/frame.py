"""The frame around every command: one lazy group, and the one place where errors become text and exit codes."""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import click
import typer.core
import typer.main
from typer.models import CommandInfo

from gittrack import __version__, errors
from gittrack.cli import context, interrupts
from gittrack.cli.commands import COMMANDS
from gittrack.lazy import lazy

PROGRAM = "git track"
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
ELSEWHERE = {"list": "ls", "delete": "rm", "undelete": "restore", "redo": "undo"}  # what other tools call it
SETTINGS = {"help_option_names": ["-h", "--help"]}


class Command(typer.core.TyperCommand):
    """One command; its help is laid out by `gittrack.cli.help`, as for the man page and the reference."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(lazy("gittrack.cli.help").terminal(self, ctx))


class Group(typer.core.TyperGroup):
    """All commands, each built only when it is called. (The unused arguments are click's.)"""

    @classmethod
    def root(cls) -> "Group":
        """The root of the command tree."""
        params: list[click.Parameter] = [
            click.Option(["-C", "directory"], multiple=True, metavar="DIR", help="Work as if started in DIR."),
            click.Option(["-V", "--version"], is_flag=True, help="Print the version."),
        ]
        return cls(
            name=PROGRAM,
            callback=_root,
            params=params,
            context_settings=SETTINGS,
            invoke_without_command=True,
            rich_markup_mode=None,
        )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return build(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            near = [ELSEWHERE[name]] if name in ELSEWHERE else get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            hint = f"did you mean `{PROGRAM} {near[0]}`?" if near else f"`{PROGRAM} help` lists the commands"
            raise errors.UsageError(f"`{name}` is not a command of {PROGRAM}", hint)
        return name, command, args[1:]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        formatter.write(lazy("gittrack.cli.help").overview())


def build(name: str) -> click.Command:
    """The click command for the entry `name` of the table."""
    entry = COMMANDS[name]
    module, _, function = entry.target.partition(":")
    callback: Callable[..., Any] = getattr(lazy(module), function)
    settings: dict[str, Any] = dict(SETTINGS)
    if entry.passes_on:
        settings |= {"allow_interspersed_args": False}
    info = CommandInfo(
        name=name, cls=Command, context_settings=settings, callback=callback, options_metavar="[options]"
    )
    return typer.main.get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)


def _root(directory: tuple[str, ...], version: bool) -> None:
    ctx = click.get_current_context()
    for path in directory:
        try:
            os.chdir(path)
        except OSError as error:
            raise errors.UsageError(f"cannot change to {path}: {error.strerror}") from error
    if version:
        click.echo(f"gittrack {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(lazy("gittrack.cli.help").overview(), nl=False)


def call(argv: list[str]) -> int:
    """Run the command that `argv` asks for; return its exit code. Every error ends here, in words on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be no text, and a terminal may know no arrows
        sys.stdout.reconfigure(errors="backslashreplace")
    interrupts.once_each()
    try:
        code = _invoke(argv)
        sys.stdout.flush()
    except errors.GittrackError as error:
        _say(error.message, error.hint)
        code = error.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else PROGRAM
        _say(error.format_message(), f"see `{where} --help`")
        code = errors.UsageError.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except BrokenPipeError:
        # The reader (`head`, a pager) has left: nobody is there to be told, and the flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        code = _system_error(error)
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback tells a user less than where to look
        code = _unexpected(error)
    finally:
        context.close()
    return code


def _invoke(argv: list[str]) -> int:
    root = Group.root()
    try:
        with root.make_context(PROGRAM, list(argv)) as ctx:
            result = root.invoke(ctx)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    return result if isinstance(result, int) else 0


def _system_error(error: OSError) -> int:
    if error.errno not in UNWRITABLE:
        return _unexpected(error)
    what = f" {error.filename}" if error.filename else ""
    _say(f"cannot write{what}: {error.strerror}", "check the permissions and the free space there")
    return errors.CannotWrite.exit_code


def _unexpected(error: Exception) -> int:
    if os.environ.get("GITTRACK_TRACEBACK"):
        traceback.print_exception(error)
    _say(
        f"{type(error).__name__}: {error}",
        "this is a fault of gittrack, not yours; GITTRACK_TRACEBACK=1 shows where it happened",
    )
    return errors.GittrackError.exit_code


def _say(message: str, hint: str) -> None:
    """Names and arguments stand in messages as they came, so nothing of them may drive the terminal."""
    printable = lazy("gittrack.compare.text").lines
    red, cyan, reset = ("\033[1;31m", "\033[36m", "\033[0m") if context.colour(sys.stderr) else ("", "", "")
    text = f"{red}error:{reset} {printable(message)}\n"
    if hint:
        text += f"{cyan}hint:{reset} {printable(hint)}\n"
    sys.stderr.write(text)
