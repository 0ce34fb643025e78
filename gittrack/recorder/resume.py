"""Which run this one continues, as the environment says it: `GITTRACK_RESUME` is `<id>` or `<id>@<step>`.

The checkpoint itself is read by another part of gittrack, which need not be installed where a training runs: whoever is
installed says here how it is found.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

    Find = Callable[[str, str, Optional[int]], Any]  # repository, id of the run that is continued, step or None

RESUME = "GITTRACK_RESUME"
finders: list[Find] = []  # the last one counts


def last_checkpoint(run_dir: str, text: str | None) -> Any:
    """The checkpoint from which to go on; None when the run continues none, or one without checkpoints."""
    if not text:
        return None
    run_id, _, step = text.partition("@")
    if not finders:
        raise RuntimeError(f"resume_checkpoint() needs gittrack installed for {sys.executable}")
    return finders[-1](_repository(run_dir), run_id, int(step) if step else None)


def _repository(run_dir: str) -> str:
    """A folder of the repository that holds the run: the program may have gone elsewhere."""
    common = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(run_dir))))  # <common>/track/live/<id>
    if not os.path.exists(os.path.join(common, "HEAD")):
        return "."
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def named() -> str | None:
    """What the environment says."""
    return os.environ.get(RESUME) or None
