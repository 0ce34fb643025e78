"""`git track recover`: close what died.

Every command does this for runs that are certainly dead, silently. What only looks dead (another machine on a shared
file system, a container that is gone, an unreadable journal) needs a person's word, and this is where it is given.
"""

import json
import os
import sys
import time
from typing import Annotated

import typer

from gittrack.cli.context import here
from gittrack.cli.drain import Watch
from gittrack.compare.text import size
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

    Files that such a run had handed over are kept first, as far as a disk or a store lets them; where a process in the
    background is at that already, its end is waited for.

    Examples:
      git track recover
      git track recover --force
    """
    place = here()
    watch = Watch()
    keep = lazy("gittrack.record.finishing").Finishing(place.paths, os.environ, watch.show)
    try:
        closed = keep.await_others()
        found = lazy("gittrack.runs.folding").fold_dead(place.repository, time.time(), force, keep.keep)
    except KeyboardInterrupt:
        watch.show(None)
        if keep.left is not None:
            sys.stderr.write(
                f"gittrack: {size(keep.left)} of files are not kept yet; nothing is lost, the next command goes on\n"
            )
        raise
    lazy("gittrack.record.uploads").resume(place.paths)
    found = found._replace(folded=[*closed, *found.folded])
    if as_json:
        document = {"closed": found.folded, "undecided": found.unknown, "waiting": list(found.waiting)}
        sys.stdout.write(json.dumps(document) + "\n")
        return
    for run_id in found.folded:
        sys.stdout.write(f"closed {run_id[:SHORT]}\n")
    for run_id in found.unknown:
        sys.stdout.write(f"undecided {run_id[:SHORT]}: it was started elsewhere and may still live\n")
    if found.unknown:
        sys.stdout.write("`git track recover --force` closes them; do so when you know that they are dead\n")
    for run_id in found.waiting:
        why = keep.failures.get(run_id, "another process is at it")
        sys.stdout.write(f"waiting {run_id[:SHORT]}: its files are not all kept yet: {why}\n")
    if not found.folded and not found.unknown and not found.waiting:
        sys.stdout.write("no run to close\n")
