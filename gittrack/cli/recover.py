"""`git track recover`: close what died.

Every command does this for runs that are certainly dead, silently. What only looks dead (another machine on a shared
file system, a container that is gone, an unreadable journal) needs a person's word, and this is where it is given.
"""

import json
import sys
import time
from typing import Annotated

import typer

from gittrack.cli.context import here
from gittrack.core.layout import SHORT
from gittrack.lazy import lazy


def recover(
    force: Annotated[
        bool, typer.Option("--force", help="Also close runs of which this machine cannot tell whether they live.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Close runs whose processes have died.

    Their journals are folded into commits, with every point that was logged, and they are listed as crashed or killed.
    Other commands do the same by themselves; this one says what it did, and what it cannot decide: a run that was
    started on another machine or in another container, over a shared file system. When you know that it is dead,
    --force closes it. When it is not, its process goes on without being recorded.

    Examples:
      git track recover
      git track recover --force
    """
    found = lazy("gittrack.runs.folding").fold_dead(here().repository, time.time(), force)
    if as_json:
        sys.stdout.write(json.dumps({"closed": found.folded, "undecided": found.unknown}) + "\n")
        return
    for run_id in found.folded:
        sys.stdout.write(f"closed {run_id[:SHORT]}\n")
    for run_id in found.unknown:
        sys.stdout.write(f"undecided {run_id[:SHORT]}: it was started elsewhere and may still live\n")
    if found.unknown:
        sys.stdout.write("`git track recover --force` closes them; do so when you know that they are dead\n")
    if not found.folded and not found.unknown:
        sys.stdout.write("no run to close\n")
