"""`git track uninstall`: leave a repository as if gittrack had never been there.

This is the one command that cannot be undone, so it lists first, asks, and says how to keep a copy.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gittrack import errors
from gittrack.cli.context import here
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy

if TYPE_CHECKING:
    from gittrack.runs.uninstall import Plan


def uninstall(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List, and remove nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while runs are going on; they are lost.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Remove all that gittrack put into the repository.

    Lists the refs and files first: everything under refs/track, refs/track-undo and refs/track-remotes, the folder
    .git/track, and the hooks of this clone, where your own come back. Your branches, tags, files and configuration are
    not touched, nor is gittrack.yaml, which is yours. This cannot be undone. The objects themselves go with git's next
    garbage collection.

    Examples:
      git track uninstall --dry-run
      git track uninstall
    """
    removing = lazy("gittrack.runs.uninstall")
    repository = here().repository
    found: Plan = removing.plan(repository)
    sys.stdout.write(_json(found) if as_json else _listing(found, removing.PREFIXES, removing.BACKUP))
    if dry_run or not found:
        return
    if found.live and not force:
        raise errors.UsageError(
            f"{len(found.live)} runs are going on: {', '.join(run_id[:SHORT] for run_id in found.live)}",
            "let them end, or give --force to lose them",
        )
    if not yes and not _agreed():
        raise errors.UsageError("nothing was removed", "`git track uninstall --yes` removes without asking")
    removing.remove(repository, found)
    if not as_json:
        sys.stdout.write("removed; `git gc --prune=now` frees the space at once\n")


def _json(found: "Plan") -> str:
    document = {
        "refs": dict(found.refs),
        "folder": found.folder,
        "bytes": found.size,
        "live": list(found.live),
        "settings": list(found.settings),
        "hooks": [step.hook.name for step in found.hooks],
    }
    return json.dumps(document) + "\n"


def _listing(found: "Plan", meanings: dict[str, str], backup: str) -> str:
    if not found:
        return "there is nothing of gittrack in this repository\n"
    lines = [f"{count:7} refs under {prefix}  ({meanings[prefix]})" for prefix, count in found.counted().items()]
    if found.folder:
        lines.append(f"        {found.folder}  ({found.size / 1e6:.1f} MB: journals, index, log of operations)")
    if found.hooks:
        lines.append(f"        hooks: {', '.join(step.hook.name for step in found.hooks)}  (your own come back)")
    lines += [f"stays, since you set it: git config {key}" for key in found.settings]
    lines.append(f"to keep a copy of the runs first: {backup}")
    return "\n".join(lines) + "\n"


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Remove all of this?", err=True)
