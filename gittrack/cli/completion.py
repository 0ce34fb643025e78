"""Completion of commands, options and runs, in bash, zsh and fish, after `git-track` and after `git track`.

typer can complete a program that is called by its own name only; a git subcommand is completed by git's own completion,
which asks for a function of its own manner in each shell. So the shells get small scripts (completion_scripts.py) that
call `git-track __complete WORD...` and print what it answers: one `value<tab>description` per line, and `:files` or
`:commands` where the shell knows better.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import click
import typer
from click.shell_completion import CompletionItem, ShellComplete

from gittrack import errors
from gittrack.cli import context
from gittrack.cli.asking import fresh
from gittrack.cli.commands import COMMANDS
from gittrack.cli.completion_scripts import SCRIPTS
from gittrack.cli.frame import PROGRAM, Group
from gittrack.lazy import lazy
from gittrack.runs.row import Row

MOST = 200
SHORT = 7
KEYWORDS = (("latest", "the newest run"), ("best", "the best by its primary metric"))


class Completed(click.ParamType):  # type: ignore[type-arg]
    """A parameter that knows what it may be: `find` gets what is typed, and whether earlier words are given."""

    name = "word"

    def __init__(self, find: Callable[[str, bool], list[CompletionItem]]) -> None:
        self.find = find

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return self.find(incomplete, bool(ctx.params.get(param.name or "")))


class CompletedPath(click.ParamType):  # type: ignore[type-arg]
    """A file of the run that is named before it on the line."""

    name = "path"

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        paths = dict.fromkeys(one.path for one in _kept(ctx.params.get("run") or "latest", "artifacts"))
        return _items([(path, "") for path in paths if path.isprintable()], incomplete)


def _runs(incomplete: str, _more: bool) -> list[CompletionItem]:
    if "@" in incomplete:
        return _checkpoints(incomplete)
    if incomplete.startswith("best:"):
        names = sorted({name for row in _rows() for name in row.metrics})
        return _items([("best:" + name, "") for name in names], incomplete)
    rows = _rows()
    named = [(row.name, f"{row.id[:SHORT]} {row.status}") for row in rows if row.name]
    ids = [(row.id[:SHORT], " ".join(filter(None, (row.status, row.name, row.command[:50])))) for row in rows]
    return _items([*KEYWORDS, *named, *ids], incomplete)


def _checkpoints(incomplete: str) -> list[CompletionItem]:
    run = incomplete.rpartition("@")[0]
    found = _kept(run, "checkpoints")
    words = [(f"{run}@{word}", "") for word in ("best", "latest")]
    return _items([*words, *((f"{run}@{one.step}", "") for one in found[-MOST:] if one.step is not None)], incomplete)


def _files(incomplete: str, more: bool) -> list[CompletionItem]:
    """RUN:PATH, the run first. A metric in `best:METRIC` stands where a path does."""
    run, colon, _ = incomplete.rpartition(":")
    if not colon:
        return [CompletionItem(f"{one.value}:", help=one.help) for one in _runs(incomplete, more)]
    paths = dict.fromkeys(one.path for one in _kept(run, "artifacts"))
    return _items([(f"{run}:{path}", "") for path in paths if path.isprintable()], incomplete)


def _kept(run: str, what: str) -> list[Any]:
    """The checkpoints or artifacts of the run that is meant."""
    place = fresh(fold=False)
    goals = place.settings.goals if run.startswith("best") else {}
    target = lazy("gittrack.runs.selectors").resolve(place.index, run, time.time(), goals=goals)
    module = lazy("gittrack.runs.reader" if what == "checkpoints" else "gittrack.runs.artifacts")
    record = lazy("gittrack.runs.reader").read(place.repository, target.id)
    found: list[Any] = getattr(module, what)(place.repository, record)
    return found


def _remotes(incomplete: str, _more: bool) -> list[CompletionItem]:
    names = lazy("gittrack.runs.remotes").named(fresh(fold=False).git)
    return _items([(name, "a git remote") for name in names], incomplete)


def _remotes_and_runs(incomplete: str, more: bool) -> list[CompletionItem]:
    return [*([] if more else _remotes(incomplete, more)), *_runs(incomplete, more)]


def _hosts(incomplete: str, _more: bool) -> list[CompletionItem]:
    """Those of gittrack.yaml and of ~/.ssh/config, this machine, and what several may be asked for."""
    named = [(name, str(facts.get("host") or "")) for name, facts in fresh(fold=False).settings.hosts.items()]
    aliases = [(name, "~/.ssh/config") for name in _aliases(os.path.expanduser("~/.ssh/config"))]
    found = dict(reversed([*named, *aliases, ("here", "this machine")]))
    return _items(sorted(found.items()), incomplete)


def _aliases(path: str) -> list[str]:
    """Hosts of an OpenSSH configuration that are no patterns."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file]
    except OSError:
        return []
    names = [name for first, *rest in filter(None, words) if first.lower() == "host" for name in rest]
    return [name for name in names if name.isprintable() and not set(name) & set('*?!"')]


def _hosts_or_any(incomplete: str, more: bool) -> list[CompletionItem]:
    return [*_hosts(incomplete, more), *_items([("any", "the first free one")], incomplete)]


def _remotes_and_hosts(incomplete: str, more: bool) -> list[CompletionItem]:
    return [*_remotes(incomplete, more), *_hosts(incomplete, more)]


def _commands_to_run(incomplete: str, more: bool) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="files" if more else "commands")]


def _shells(incomplete: str, _more: bool) -> list[CompletionItem]:
    return _items([(shell, f"the script for {shell}") for shell in SCRIPTS], incomplete)


def _hooks(incomplete: str, _more: bool) -> list[CompletionItem]:
    return _items([(name, "a hook of git") for name in lazy("gittrack.git.hook_script").NAMES], incomplete)


def _command_names(incomplete: str, _more: bool) -> list[CompletionItem]:
    return _items([(name, entry.summary) for name, entry in COMMANDS.items()], incomplete)


def _items(pairs: list[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(value, help=text) for value, text in pairs if value.startswith(incomplete)]


# By the name of a parameter, in every command: commands need not know that there is completion.
COMPLETED: dict[str, Completed] = {
    **dict.fromkeys(("run", "runs", "a", "b", "against", "resume"), Completed(_runs)),
    **dict.fromkeys(("command", "argv"), Completed(_commands_to_run)),
    "file": Completed(_files),
    "host": Completed(_hosts),
    "what": Completed(_remotes_and_runs),
    "which": Completed(_remotes),
    "shell": Completed(_shells),
    "names": Completed(_hooks),
    "topic": Completed(_command_names),
}
IN_COMMANDS: dict[tuple[str, str], click.ParamType] = {  # type: ignore[type-arg]
    ("checkout", "paths"): CompletedPath(),
    ("fetch", "what"): Completed(_remotes_and_hosts),
    ("host", "name"): Completed(_hosts),
    ("run", "host"): Completed(_hosts_or_any),
}


class Completing(Group):
    """The command tree with parameters that know what they may be."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        for param in command.params if command else ():
            known = COMPLETED.get(param.name or "", param.type)
            param.type = IN_COMMANDS.get((cmd_name, param.name or ""), known)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return _command_names(incomplete, False)


def _rows() -> list[Row]:
    return fresh(fold=False).index.rows(limit=MOST)


def answer(words: list[str]) -> str:
    """What may stand in the place of the last of `words`, which are those after `git track`."""
    *before, incomplete = words or [""]
    root = Completing.root()
    items = ShellComplete(root, {}, PROGRAM, "").get_completions(before, incomplete)
    lines = []
    for item in items:
        if item.type == "plain":
            lines.append(f"{item.value}\t{' '.join((item.help or '').split())}")
        else:
            lines.append(":commands" if item.type == "commands" else ":files")
    return "".join(f"{line}\n" for line in lines)


def complete(words: list[str]) -> int:
    """`git-track __complete WORD...`. A keypress is no place for an error message: where nothing is known, nothing."""
    try:
        sys.stdout.write(answer(words))
    except errors.GittrackError:
        return 1
    finally:
        context.close()
    return 0


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell to print it for.")],
) -> None:
    """Print the completion script for a shell.

    It completes commands, options, and runs with their checkpoints and files, both after `git track` and after
    `git-track`. To have it in every new shell, write it where the shell looks, or evaluate it in the shell's start-up
    file.

    Examples:
      git track completion bash > ~/.local/share/bash-completion/completions/git-track
      echo 'eval "$(git track completion zsh)"' >> ~/.zshrc      # after compinit
      git track completion fish > ~/.config/fish/completions/git-track.fish
    """
    if shell not in SCRIPTS:
        raise errors.UsageError(f"there is no completion for `{shell}`", f"there is for {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[shell])
