"""Which run this one continues, as the environment says it: `GITTRACK_RESUME` is `<id>` or `<id>@<step>`.

The checkpoint itself is read by another part of gittrack, which need not be installed where a training runs: whoever is
installed says here how it is found.
"""

from __future__ import annotations

import os
import sys

from .variables import RUN_DIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

    # Repository, id of the run that is continued, step or None; the folder of the job where there is no repository.
    Find = Callable[[str, str, Optional[int], Optional[str]], Any]

RESUME = "GITTRACK_RESUME"
finders: list[Find] = []  # the last one counts


def last_checkpoint(run_dir: str, text: str | None) -> Any:
    """The checkpoint from which to go on; None when the run continues none, or one without checkpoints."""
    if not text:
        return None
    run_id, _, step = text.partition("@")
    if not finders:
        raise RuntimeError(f"resume_checkpoint() needs gittrack installed for {sys.executable}")
    return finders[-1](_repository(run_dir), run_id, int(step) if step else None, _job(run_dir))


def _repository(run_dir: str) -> str:
    """A folder of the repository that holds the run: the program may have gone elsewhere."""
    common = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(run_dir))))  # <common>/track/live/<id>
    if not os.path.exists(os.path.join(common, "HEAD")):
        return "."
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _job(run_dir: str) -> str | None:
    """The folder of the job at a host (docs/format.md §12); None where the run is executed in a repository."""
    above, name = os.path.split(os.path.abspath(run_dir))
    return above if name == "run" and os.path.isfile(os.path.join(above, "job.json")) else None


def is_sent() -> bool:
    """Whether this process belongs to a job at a host, where the run is executed in no repository."""
    run_dir = os.environ.get(RUN_DIR, "")
    return run_dir != "" and _job(run_dir) is not None


def named() -> str | None:
    """What the environment says."""
    return os.environ.get(RESUME) or None
