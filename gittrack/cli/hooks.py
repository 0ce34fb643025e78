"""`git track hooks`: put gittrack behind git's hooks, beside those that are there, and take it away again."""

import enum
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gittrack import errors
from gittrack.cli import context, render
from gittrack.compare.text import line
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.git.hooks import Folder, Hook, Step

SNIPPET = """\
  - repo: local
    hooks:
"""
ENTRY = """\
      - id: gittrack-{name}
        name: gittrack
        entry: {program} {name}
        language: system
        stages: [{name}]
        {files}
"""
WITH_FILES = ("pre-commit", "pre-merge-commit", "prepare-commit-msg", "commit-msg")  # get names of files


class Action(str, enum.Enum):
    install = "install"
    status = "status"
    uninstall = "uninstall"


def hooks(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="install, status or uninstall.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Only these hooks, such as pre-commit.")
    ] = None,
    chain: Annotated[
        bool, typer.Option("--chain", help="install: also in front of the hook of the pre-commit framework.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Without asking, also where the hooks serve others than this clone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Let git call gittrack when you commit and push.

    pre-commit refuses models and large files that git-lfs does not track, and secrets; pre-merge-commit does so for
    merges that git commits by itself. prepare-commit-msg adds `Track-Run: <id>` to a commit of what a run was made of;
    commit-msg sees to it that this alone makes no commit. post-commit and post-rewrite keep commits and runs linked
    through amend and rebase. pre-push takes along the runs that the pushed commits name. `git commit --no-verify`
    passes them by; when gittrack itself fails, git goes on.

    A hook that is there stays: it gets another name and is called first, and its exit code counts. uninstall gives it
    its name back. Where core.hooksPath leads elsewhere, you are asked first. With the pre-commit framework, a few lines
    for its configuration are shown instead of touching its hook.

    Examples:
      git track hooks install
      git track hooks install pre-commit prepare-commit-msg commit-msg
      git track hooks status
      git track hooks uninstall
    """
    files: Any = lazy("gittrack.git.hooks")
    known = files.NAMES
    for name in names or ():
        if name not in known:
            raise errors.UsageError(f"{name} is no hook of gittrack", f"there are {', '.join(known)}")
    place = files.folder(context.here().git)
    found = files.look(place, names or known)
    if action is Action.status:
        render.write(_json(place, found) if as_json else _status(place, found))
        return 0
    if action is Action.uninstall:
        return _uninstall(place, files.to_uninstall(found), yes, as_json, names or known)
    return _install(place, files.to_install(place, found, _program(place), chain), yes, as_json, names or known)


def _install(place: "Folder", steps: "Sequence[Step]", yes: bool, as_json: bool, names: Sequence[str]) -> int:
    files: Any = lazy("gittrack.git.hooks")
    todo = [step for step in steps if step.action in (files.WRITE, files.RENEW, files.CHAIN)]
    if todo:
        _agree(place, [_change(step) for step in todo], yes, "installed")
    files.install(place, todo)
    now = files.look(place, names)
    if as_json:
        render.write(_json(place, now))
    else:
        render.write("".join(f"{step.hook.name}: {_done(step)}\n" for step in steps))
        render.write(_snippet([step.hook for step in steps if step.hook.state == files.FRAMEWORK and step not in todo]))
    _warm_up()
    _raise_blocked([step for step in steps if step.action == files.BLOCKED])
    return 0


def _uninstall(place: "Folder", steps: "Sequence[Step]", yes: bool, as_json: bool, names: Sequence[str]) -> int:
    files: Any = lazy("gittrack.git.hooks")
    todo = [step for step in steps if step.action == files.WRITE]
    if todo:
        _agree(place, [f"{step.hook.path} {'gets its own hook back' if step.hook.kept else 'goes'}" for step in todo],
               yes, "removed")  # fmt: skip
    files.uninstall(todo)
    if as_json:
        render.write(_json(place, files.look(place, names)))
    else:
        words = [f"{step.hook.name}: {'your own hook is back' if step.hook.kept else 'removed'}\n" for step in todo]
        render.write("".join(words) or "no hooks of gittrack here\n")
    _raise_blocked([step for step in steps if step.action == files.BLOCKED])
    return 0


def _program(place: "Folder") -> str:
    """What the hooks call: by its whole path, since graphical programs know no PATH; by its name where the files are
    shared with others."""
    files, script = lazy("gittrack.git.hooks"), lazy("gittrack.git.hook_script")
    name: str = script.PROGRAM
    beside = [os.path.join(os.path.dirname(one), name) for one in (os.path.abspath(sys.argv[0]), sys.executable)]
    path = next((one for one in beside if os.access(one, os.X_OK)), None) or shutil.which(name)
    if path is None:
        raise errors.UsageError(f"{name} is not beside git-track", "install gittrack again: pip install .")
    return name if place.whose == files.TREE else path


def _agree(place: "Folder", changes: Sequence[str], yes: bool, what: str) -> None:
    """Ask where hooks serve more than this clone. Raises UsageError when it is not wanted."""
    files: Any = lazy("gittrack.git.hooks")
    if place.whose == files.CLONE or yes:
        return
    where = line(place.path)
    if place.whose == files.TREE:
        text = f"git looks for hooks in the work tree, {where}: these files are everybody's once they are committed"
    else:
        why = f"core.hooksPath is {where} (set in {line(place.origin)})" if place.origin else f"hooks are in {where}"
        text = f"{why}: hooks there serve all repositories that use it"
    sys.stderr.write(text + "\n" + "".join(f"  {line(one)}\n" for one in changes))
    if not sys.stdin.isatty():
        raise errors.UsageError(f"nothing was {what}", "--yes does it without asking")
    if not typer.confirm("Go on?", err=True):
        raise errors.UsageError(f"nothing was {what}")


def _change(step: "Step") -> str:
    files: Any = lazy("gittrack.git.hooks")
    if step.action == files.CHAIN:
        return f"{step.hook.path} is renamed to {step.hook.name}{files.KEPT}, and called by the new one"
    return f"{step.hook.path} is {'written again' if step.action == files.RENEW else 'new'}"


def _done(step: "Step") -> str:
    files: Any = lazy("gittrack.git.hooks")
    after = f", after your own hook (now {step.hook.name}{files.KEPT})"
    if step.action == files.LEAVE:
        return ("already " if step.hook.state in (files.OURS, files.LEGACY) else "") + _words(step.hook)
    return {
        files.WRITE: "installed",
        files.RENEW: "installed anew" + (after if step.hook.kept else ""),
        files.CHAIN: "installed" + after,
    }.get(step.action, f"left alone: {_words(step.hook)}")


def _words(hook: "Hook") -> str:
    files: Any = lazy("gittrack.git.hooks")
    words = {
        files.ABSENT: "not installed",
        files.OURS: "installed" + (", after your own hook" if hook.kept else ""),
        files.EDITED: "installed, and edited since",
        files.FOREIGN: "a hook of your own, which gittrack is not behind",
        files.FRAMEWORK: "the pre-commit framework's; it can call gittrack (see below), or --chain",
        files.LEGACY: "installed; the pre-commit framework, which came later, calls it",
    }[hook.state]
    if hook.kept and hook.state in (files.ABSENT, files.FOREIGN):
        words += f"; {hook.name}{files.KEPT} is left over from an earlier installation"
    if hook.program and not (shutil.which(hook.program) or shutil.which(os.path.basename(hook.program))):
        words += f"; {hook.program} is gone: `git track hooks install` mends that"
    return words


def _status(place: "Folder", found: "Sequence[Hook]") -> str:
    files: Any = lazy("gittrack.git.hooks")
    width = max(len(hook.name) for hook in found)
    rows = [f"{hook.name:<{width}}  {line(_words(hook))}\n" for hook in found]
    framework = _snippet([hook for hook in found if hook.state == files.FRAMEWORK])
    return f"hooks in {line(place.path)}\n" + "".join(rows) + framework


def _snippet(of_framework: "Sequence[Hook]") -> str:
    if not of_framework:
        return ""
    text = "for .pre-commit-config.yaml, below `repos:`\n\n" + SNIPPET
    for hook in of_framework:
        files = "require_serial: true" if hook.name in WITH_FILES else "always_run: true"
        text += ENTRY.format(name=hook.name, program=lazy("gittrack.git.hook_script").PROGRAM, files=files)
    return text


def _json(place: "Folder", found: "Sequence[Hook]") -> str:
    rows = [{"name": one.name, "state": one.state, "kept": one.kept, "program": one.program} for one in found]
    return json.dumps({"folder": place.path, "whose": place.whose, "hooks": rows}) + "\n"


def _warm_up() -> None:
    """The rules for secrets are taken out of their library now, not at the first commit."""
    place = context.here()
    try:
        lazy("gittrack.config.secret_rules").load(place.settings.cache, place.settings.redact.patterns)
    except (errors.GittrackError, OSError):
        return  # the hook says it


def _raise_blocked(steps: "Sequence[Step]") -> None:
    if not steps:
        return
    files: Any = lazy("gittrack.git.hooks")
    hook = steps[0].hook
    if hook.state == files.EDITED:
        advice = (
            f"move your changes to a hook of your own, then: rm {shlex.quote(hook.path)} && git track hooks install"
        )
        raise errors.WouldOverwrite(f"{hook.path} was edited since gittrack wrote it, and is left alone", advice)
    kept = hook.path + files.KEPT
    raise errors.WouldOverwrite(
        f"{kept} is left over from an earlier installation, and is kept",
        f"look at it, then remove it: rm {shlex.quote(kept)}",
    )
